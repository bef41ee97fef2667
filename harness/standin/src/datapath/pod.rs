//! The wire between a pod and its node.
//!
//! The pod has its address as /32 and a default route through a link-local gateway that exists nowhere: both sides know
//! each other's hardware address for good, so nothing is ever resolved and nothing can expire.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

use super::netlink::{Netlink, NetlinkError, VethEnd};
use super::node::{self, NodeError};

/// The address of every pod's gateway.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const MTU: u32 = 1500;

/// A pod cannot be wired.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PodError {
    /// Its network namespace.
    #[error("the network namespace {path} cannot be entered")]
    Namespace {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A link or route.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A kernel setting.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A link that was just made is gone.
    #[error("link {0} vanished while the pod was being wired")]
    Vanished(String),
}

/// A pod's wire.
pub(crate) struct Wire<'a> {
    /// The end in the node.
    pub(crate) host_interface: &'a str,
    /// The end in the pod.
    pub(crate) pod_interface: &'a str,
    /// The path of the pod's network namespace.
    pub(crate) namespace: &'a str,
    /// The pod's address.
    pub(crate) ip: Ipv4Addr,
    /// The address that the node uses to speak to its pods.
    pub(crate) node_ip: Ipv4Addr,
}

impl Wire<'_> {
    /// The hardware address of the pod's end.
    pub(crate) fn pod_mac(&self) -> [u8; 6] {
        mac(0x0a, self.ip)
    }

    /// The hardware address of the node's end.
    pub(crate) fn host_mac(&self) -> [u8; 6] {
        mac(0x0e, self.ip)
    }

    /// Creates the wire, replacing one of the same name.
    pub(crate) async fn attach(&self) -> Result<(), PodError> {
        let namespace = File::open(Path::new(self.namespace))
            .map_err(|source| PodError::Namespace { path: self.namespace.to_owned(), source })?;
        let netlink = Netlink::open()?;
        netlink.delete_link(self.host_interface).await?;
        let host = VethEnd { name: self.host_interface, mac: self.host_mac() };
        let peer = VethEnd { name: self.pod_interface, mac: self.pod_mac() };
        netlink.add_veth(host, peer, namespace.as_fd(), MTU).await?;
        self.configure_pod(&namespace)?;
        node::set(&format!("net/ipv4/conf/{}/rp_filter", self.host_interface), "0")?;
        let index = found(&netlink, self.host_interface).await?;
        netlink.set_up(index).await?;
        netlink.add_neighbour(index, self.ip, self.pod_mac()).await?;
        netlink.route_to_link(self.ip, index, Some(self.node_ip)).await?;
        Ok(())
    }

    /// Configures the pod's end from a thread inside the pod's namespace.
    fn configure_pod(&self, namespace: &File) -> Result<(), PodError> {
        let inside = || {
            let failed = |source| PodError::Namespace { path: self.namespace.to_owned(), source };
            setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| failed(errno.into()))?;
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            runtime.block_on(self.configure_end())
        };
        std::thread::scope(|scope| {
            scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    async fn configure_end(&self) -> Result<(), PodError> {
        let netlink = Netlink::open()?;
        let loopback = found(&netlink, "lo").await?;
        netlink.set_up(loopback).await?;
        let index = found(&netlink, self.pod_interface).await?;
        netlink.add_address(index, self.ip).await?;
        netlink.set_up(index).await?;
        netlink.add_neighbour(index, GATEWAY, self.host_mac()).await?;
        netlink.route_to_link(GATEWAY, index, None).await?;
        netlink.default_route(GATEWAY, index).await?;
        Ok(())
    }
}

async fn found(netlink: &Netlink, name: &str) -> Result<u32, PodError> {
    netlink.index(name).await?.ok_or_else(|| PodError::Vanished(name.to_owned()))
}

/// A locally administered address that the IP address makes unique.
fn mac(first: u8, ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [first, 0x58, a, b, c, d]
}
