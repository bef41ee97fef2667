//! Links, addresses, neighbours, routes and rules of the network namespace that the calling thread is in.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use futures_util::TryStreamExt as _;
use ipnet::Ipv4Net;
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::rule::RuleAction;
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder, new_connection};
use tokio::task::JoinHandle;

/// The protocol number of our routes, which distinguishes them from others.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(99);
const MAIN_TABLE: u32 = 254;

/// A request that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetlinkError {
    /// No socket.
    #[error("no netlink socket can be opened; the agent needs CAP_NET_ADMIN")]
    Open(#[source] io::Error),
    /// A request.
    #[error("the kernel refused to {action}")]
    Request {
        /// The operation, as a verb phrase.
        action: String,
        /// Its answer.
        source: rtnetlink::Error,
    },
}

/// One end of a veth pair.
pub(crate) struct VethEnd<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its hardware address.
    pub(crate) mac: [u8; 6],
}

/// Where packets for a prefix go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextHop {
    /// To another node.
    Via(Ipv4Addr),
    /// Nowhere: the sender gets an ICMP error.
    Unreachable,
}

/// A netlink socket.
pub(crate) struct Netlink {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Netlink {
    /// Opens a socket.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = new_connection().map_err(NetlinkError::Open)?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// The index of a link, if it exists.
    pub(crate) async fn index(&self, name: &str) -> Result<Option<u32>, NetlinkError> {
        let found = self.handle.link().get().match_name(name.to_owned()).execute().try_next().await;
        match found {
            Ok(link) => Ok(link.map(|link| link.header.index)),
            Err(error) if errno(&error) == Some(nix::libc::ENODEV) => Ok(None),
            Err(source) => Err(NetlinkError::Request { action: format!("look up link {name}"), source }),
        }
    }

    /// Adds a veth pair whose peer appears in another namespace; both ends are down.
    pub(crate) async fn add_veth(
        &self,
        host: VethEnd<'_>,
        peer: VethEnd<'_>,
        namespace: BorrowedFd<'_>,
        mtu: u32,
    ) -> Result<(), NetlinkError> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(peer.name)
            .address(peer.mac.to_vec())
            .mtu(mtu)
            .setns_by_fd(namespace.as_raw_fd())
            .build();
        let link = LinkMessageBuilder::<LinkVeth>::new(host.name, "")
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .address(host.mac.to_vec())
            .mtu(mtu)
            .build();
        let added = self.handle.link().add(link).execute().await;
        refused(added, || format!("add the veth pair of {}", host.name))
    }

    /// Removes a link if it exists.
    pub(crate) async fn delete_link(&self, name: &str) -> Result<(), NetlinkError> {
        let Some(index) = self.index(name).await? else { return Ok(()) };
        refused(self.handle.link().del(index).execute().await, || format!("delete link {name}"))
    }

    /// Sets a link up.
    pub(crate) async fn set_up(&self, index: u32) -> Result<(), NetlinkError> {
        let up = LinkUnspec::new_with_index(index).up().build();
        refused(self.handle.link().set(up).execute().await, || format!("bring link {index} up"))
    }

    /// Gives a link an address.
    pub(crate) async fn add_address(&self, index: u32, ip: Ipv4Addr) -> Result<(), NetlinkError> {
        let added = self.handle.address().add(index, ip.into(), 32).execute().await;
        refused(added, || format!("add address {ip} to link {index}"))
    }

    /// Makes a neighbour known for good.
    pub(crate) async fn add_neighbour(
        &self,
        index: u32,
        ip: Ipv4Addr,
        mac: [u8; 6],
    ) -> Result<(), NetlinkError> {
        let request = self.handle.neighbours().add(index, ip.into()).link_layer_address(&mac).replace();
        refused(request.execute().await, || format!("add neighbour {ip}"))
    }

    /// Routes one address over a link; `source` is what the node uses to speak to it.
    pub(crate) async fn route_to_link(
        &self,
        ip: Ipv4Addr,
        index: u32,
        source: Option<Ipv4Addr>,
    ) -> Result<(), NetlinkError> {
        let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(ip, 32)
            .output_interface(index)
            .scope(RouteScope::Link);
        if let Some(source) = source {
            route = route.pref_source(source);
        }
        self.replace_route(route.build(), || format!("route {ip} over link {index}")).await
    }

    /// Sends all else through `gateway`.
    pub(crate) async fn default_route(&self, gateway: Ipv4Addr, index: u32) -> Result<(), NetlinkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(index).build();
        self.replace_route(route, || format!("set the default route through {gateway}")).await
    }

    /// Sets our route for a prefix.
    pub(crate) async fn route_prefix(&self, prefix: Ipv4Net, to: NextHop) -> Result<(), NetlinkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(prefix.addr(), prefix.prefix_len())
            .protocol(PROTOCOL);
        let route = match to {
            NextHop::Via(gateway) => route.gateway(gateway),
            NextHop::Unreachable => route.kind(RouteType::Unreachable),
        };
        self.replace_route(route.build(), || format!("route {prefix}")).await
    }

    /// Our routes by prefix, from this run or an earlier one.
    pub(crate) async fn own_routes(&self) -> Result<Vec<(Ipv4Net, RouteMessage)>, NetlinkError> {
        let request = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let all: Vec<RouteMessage> = self
            .handle
            .route()
            .get(request)
            .execute()
            .try_collect()
            .await
            .map_err(|source| NetlinkError::Request { action: "list routes".into(), source })?;
        let own = |route: &RouteMessage| {
            route.header.protocol == PROTOCOL && u32::from(route.header.table) == MAIN_TABLE
        };
        Ok(all.into_iter().filter(own).filter_map(|route| Some((prefix(&route)?, route))).collect())
    }

    /// Removes a route.
    pub(crate) async fn delete_route(&self, route: RouteMessage) -> Result<(), NetlinkError> {
        refused(self.handle.route().del(route).execute().await, || "delete a route".to_owned())
    }

    /// Delivers packets with `mark` to this node, whatever their destination is.
    pub(crate) async fn deliver_marked(
        &self,
        mark: u32,
        table: u32,
        loopback: u32,
    ) -> Result<(), NetlinkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .output_interface(loopback)
            .table_id(table)
            .kind(RouteType::Local)
            .scope(RouteScope::Host)
            .build();
        self.replace_route(route, || format!("set the local route of table {table}")).await?;
        let rule = self.handle.rule().add().v4().fw_mark(mark).table_id(table).priority(9);
        match rule.action(RuleAction::ToTable).execute().await {
            Err(error) if errno(&error) == Some(nix::libc::EEXIST) => Ok(()),
            other => refused(other, || format!("add the rule for mark {mark:#x}")),
        }
    }

    async fn replace_route(
        &self,
        route: RouteMessage,
        action: impl Fn() -> String,
    ) -> Result<(), NetlinkError> {
        refused(self.handle.route().add(route).replace().execute().await, action)
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn refused(result: Result<(), rtnetlink::Error>, action: impl Fn() -> String) -> Result<(), NetlinkError> {
    result.map_err(|source| NetlinkError::Request { action: action(), source })
}

fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => Some(-message.raw_code()),
        _ => None,
    }
}

fn prefix(route: &RouteMessage) -> Option<Ipv4Net> {
    let destination = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some(*ip),
        _ => None,
    })?;
    Ipv4Net::new(destination, route.header.destination_prefix_length).ok()
}
