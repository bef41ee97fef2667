//! Two nodes, four pods, and a host outside of the cluster.
//!
//! Node 0 runs client, stranger and a server; node 1 runs another server. Servers answer HTTP on port 8080 and echo
//! packets on port 7000; the service spreads over both. The host outside has a wire to each node and knows no pod network.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::netns::Netns;
use super::traffic::serve;
use crate::agent::cluster::NodeAddress;
use crate::agent::endpoint::Endpoint;
use crate::agent::plan::{Known, Plan, plan};
use crate::behaviour::connection_table::UnknownTcp;
use crate::behaviour::conntrack_gc::Collection;
use crate::datapath::events::{Dropped, Queue};
use crate::datapath::netlink::{Netlink, VethEnd};
use crate::datapath::pod::Wire;
use crate::datapath::table::Table;
use crate::datapath::tracked::{self, Collected};
use crate::datapath::{nft, node};
use crate::identity::labels::Labels;
use crate::identity::{Address, View};
use crate::policy::model::Policy;
use crate::policy::resolve::Transport;
use crate::proxy::Proxy;
use crate::service::Frontend;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 3);
pub(super) const NEAR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 244, 0, 4), 8080);
pub(super) const REMOTE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 244, 1, 2), 8080);
pub(super) const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 10), 80);
/// The port on which every node answers for the service.
pub(super) const NODE_PORT: u16 = 30_080;
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 200);
pub(super) const NODES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 250, 0, 11), Ipv4Addr::new(10, 250, 0, 12)];

struct Node {
    netns: Netns,
    address: NodeAddress,
    endpoints: Vec<Endpoint>,
}

/// One lab at a time: a process that is being started holds copies of the sockets of all others for a moment.
static ALONE: Mutex<()> = Mutex::new(());

pub(super) struct Lab {
    _alone: MutexGuard<'static, ()>,
    nodes: [Node; 2],
    pub(super) client: Netns,
    pub(super) stranger: Netns,
    pub(super) near: Netns,
    _remote: Netns,
    pub(super) outside: Netns,
    /// Whether those outside whom a node masquerades are taken for the node.
    pub(super) world_is_host: bool,
    /// What becomes of TCP packets of connections that are not tracked.
    pub(super) unknown_tcp: UnknownTcp,
    /// Where dropped packets are queued.
    pub(super) events: Option<Queue>,
    /// Bounded tables, and when their entries are dead.
    pub(super) collection: Option<Collection>,
}

/// Running proxies; dropping them is the death of the agents.
pub(super) struct Proxies(Vec<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Drop for Proxies {
    fn drop(&mut self) {
        for (stop, thread) in self.0.drain(..) {
            drop(stop);
            thread.join().unwrap();
        }
    }
}

impl Lab {
    pub(super) fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let [mut first, mut second] = [0, 1].map(make_node);
        join(&first.netns, &second.netns);
        let outside = Netns::new();
        for (node, wire) in [(&first, "out0"), (&second, "out1")] {
            reach(node, &outside, wire);
        }
        let client = first.add_pod("client", CLIENT, 300);
        let stranger = first.add_pod("stranger", STRANGER, 301);
        let near = first.add_pod("server", *NEAR.ip(), 302);
        let remote = second.add_pod("server", *REMOTE.ip(), 302);
        serve(&near, "near");
        serve(&remote, "remote");
        Self {
            _alone: alone,
            nodes: [first, second],
            client,
            stranger,
            near,
            _remote: remote,
            outside,
            world_is_host: false,
            unknown_tcp: UnknownTcp::default(),
            events: None,
            collection: None,
        }
    }

    pub(super) fn node_namespace(&self, index: usize) -> &Netns {
        &self.nodes[index].netns
    }

    /// Programs both nodes with `policies` (their specs).
    pub(super) fn program(&self, policies: &[Value]) {
        for node in &self.nodes {
            let plan = self.plan(node, policies, 10000);
            node.netns.block_on(async || apply(&plan).await);
        }
    }

    /// Takes what a node has queued for monitors, and the number of events that found the queue full.
    pub(super) fn take_events(&self, node: usize) -> (Vec<Dropped>, u64) {
        let queue = self.events.unwrap();
        self.nodes[node].netns.block_on(async || queue.take().await.unwrap())
    }

    /// Takes dead TCP connections out of the table of the first node.
    pub(super) fn collect(&self) -> Collected {
        let collection = self.collection.as_ref().unwrap();
        self.nodes[0].netns.block_on(async || tracked::collect(collection, Transport::Tcp).await.unwrap())
    }

    /// The packets from and to pods of the first node that found no place in its table.
    pub(super) fn failed_insertions(&self) -> [u64; 2] {
        self.nodes[0].netns.block_on(async || tracked::failed_insertions().await.unwrap())
    }

    /// Forgets the TCP connections that the nodes track.
    pub(super) fn forget_tcp(&self) {
        for node in &self.nodes {
            node.netns.block_on(async || nft::flush_tcp_conntrack().await.unwrap());
        }
    }

    /// Forgets the TCP connections through services that the nodes track.
    pub(super) fn forget_service_connections(&self) {
        for node in &self.nodes {
            node.netns.block_on(async || nft::forget_service_connections().await.unwrap());
        }
    }

    /// The generations of rules that a node holds.
    pub(super) fn generations(&self, node: usize) -> BTreeSet<String> {
        let objects = self.nodes[node].netns.block_on(async || nft::objects().await.unwrap());
        objects
            .iter()
            .filter_map(|object| object.name.rsplit_once("_g"))
            .map(|(_, number)| number.into())
            .collect()
    }

    /// Starts a proxy on each node and programs the nodes to use it.
    pub(super) fn start_proxies(&self, policies: &[Value]) -> Proxies {
        let start = |node: &Node| {
            let (stop, stopped) = mpsc::channel::<()>();
            let (listening, port) = mpsc::channel();
            let (plans, planned) = mpsc::channel::<Plan>();
            let netns = node.netns.try_clone();
            let thread = thread::spawn(move || {
                netns.enter();
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                let proxy = runtime.block_on(async { Proxy::start(false).unwrap() });
                listening.send(proxy.port()).unwrap();
                let plan = planned.recv().unwrap();
                proxy.set_policy(plan.proxy.clone());
                runtime.block_on(apply(&plan));
                listening.send(0).unwrap();
                stopped.recv().unwrap_err();
            });
            plans.send(self.plan(node, policies, port.recv().unwrap())).unwrap();
            port.recv().unwrap();
            (stop, thread)
        };
        Proxies(self.nodes.iter().map(start).collect())
    }

    fn plan(&self, node: &Node, policies: &[Value], proxy_port: u16) -> Plan {
        let policies: Vec<Policy> = policies.iter().map(policy).collect();
        let mut view = View::default();
        for node in &self.nodes {
            for endpoint in &node.endpoints {
                view.identities.insert(endpoint.identity, endpoint.labels.clone());
                let address = Address { identity: endpoint.identity, node: node.address.ip };
                view.addresses.insert(endpoint.ip, address);
            }
        }
        plan(Known {
            node: node.address,
            nodes: &[self.nodes[0].address, self.nodes[1].address],
            node_ips: &NODES.into_iter().collect(),
            masquerade: true,
            world_is_host: self.world_is_host,
            unknown_tcp: self.unknown_tcp,
            frontends: frontends(),
            policies: &policies,
            view: &view,
            endpoints: &node.endpoints,
            proxy_port,
            dns_port: 0,
            events: self.events,
            bounds: self.collection.as_ref().map(|it| it.bounds),
        })
        .unwrap()
    }
}

impl Node {
    fn add_pod(&mut self, app: &str, ip: Ipv4Addr, identity: u32) -> Netns {
        let netns = Netns::new();
        let container_id = format!("{app}{}", ip.octets()[2]);
        let endpoint = Endpoint {
            names: Default::default(),
            container_id,
            namespace: "default".into(),
            pod: app.into(),
            pod_uid: String::new(),
            ip,
            labels: Labels::parse(&format!("k8s:app={app};k8s:io.kubernetes.pod.namespace=default;")),
            identity,
        };
        let interface = endpoint.interface();
        self.netns.block_on(async || {
            let wire = Wire {
                host_interface: &interface,
                pod_interface: "eth0",
                namespace: &netns.path(),
                ip,
                node_ip: self.address.ip,
            };
            wire.attach().await.unwrap();
        });
        self.endpoints.push(endpoint);
        netns
    }
}

fn make_node(index: u8) -> Node {
    let pods = format!("10.244.{index}.0/24").parse().unwrap();
    let address = NodeAddress { ip: NODES[usize::from(index)], pods };
    Node { netns: Netns::new(), address, endpoints: Vec::new() }
}

/// Joins the nodes by a wire and prepares both as the agent does.
fn join(first: &Netns, second: &Netns) {
    first.block_on(async || {
        let ends = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]].map(|mac| VethEnd { name: "wire", mac });
        let [host, peer] = ends;
        Netlink::open().unwrap().add_veth(host, peer, second.fd(), 1500).await.unwrap();
    });
    for (netns, own, other) in [(first, NODES[0], NODES[1]), (second, NODES[1], NODES[0])] {
        netns.block_on(async || {
            let netlink = Netlink::open().unwrap();
            for name in ["lo", "wire"] {
                let index = netlink.index(name).await.unwrap().unwrap();
                netlink.set_up(index).await.unwrap();
            }
            let wire = netlink.index("wire").await.unwrap().unwrap();
            netlink.add_address(wire, own).await.unwrap();
            netlink.route_to_link(other, wire, None).await.unwrap();
            netlink.default_route(other, wire).await.unwrap();
            node::prepare(&netlink).await.unwrap();
        });
    }
}

/// Joins a node and the host outside by a wire of their own, named the same at both ends.
fn reach(node: &Node, outside: &Netns, wire: &str) {
    let number = wire.as_bytes()[3];
    node.netns.block_on(async || {
        let [host, peer] = [3, 4].map(|end| VethEnd { name: wire, mac: [2, 0, 0, 0, number, end] });
        Netlink::open().unwrap().add_veth(host, peer, outside.fd(), 1500).await.unwrap();
    });
    for (netns, own, other) in [(&node.netns, node.address.ip, OUTSIDE), (outside, OUTSIDE, node.address.ip)]
    {
        netns.block_on(async || {
            let netlink = Netlink::open().unwrap();
            let index = netlink.index(wire).await.unwrap().unwrap();
            netlink.set_up(index).await.unwrap();
            netlink.add_address(index, own).await.unwrap();
            netlink.route_to_link(other, index, None).await.unwrap();
        });
    }
}

async fn apply(plan: &Plan) {
    let netlink = Netlink::open().unwrap();
    node::sync_routes(&netlink, &plan.routes).await.unwrap();
    let mut table = Table::open().await.unwrap();
    let replaced = table.replace(&plan.ruleset).await;
    replaced.unwrap_or_else(|error| panic!("{error}\n{}", plan.ruleset.render(0)));
    table.sweep().await.unwrap();
}

fn frontends() -> Vec<Frontend> {
    let frontend = |transport, port, target: Option<u16>| Frontend {
        ip: *SERVICE.ip(),
        transport,
        port,
        node_port: (port == 80).then_some(NODE_PORT),
        backends: target.map_or(BTreeSet::new(), |port| {
            [NEAR, REMOTE].map(|server| (*server.ip(), port)).into_iter().collect()
        }),
    };
    vec![
        frontend(Transport::Tcp, 80, Some(8080)),
        frontend(Transport::Udp, 7000, Some(7000)),
        frontend(Transport::Tcp, 81, None),
    ]
}

fn policy(spec: &Value) -> Policy {
    let object = json!({"metadata": {"name": "p", "namespace": "default"}, "spec": spec});
    Policy::from_object(&serde_json::from_value(object).unwrap()).unwrap()
}
