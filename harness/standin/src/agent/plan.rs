//! From what is known to what the kernel and the proxy shall do: a pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::cluster::NodeAddress;
use super::endpoint::Endpoint;
use crate::behaviour::connection_table::UnknownTcp;
use crate::behaviour::conntrack_gc::Bounds;
use crate::datapath::events::Queue;
use crate::datapath::netlink::NextHop;
use crate::datapath::ruleset::Ruleset;
use crate::identity::{HOST, View};
use crate::policy::model::Policy;
use crate::policy::resolve::{ResolveError, resolve};
use crate::proxy::policy::ProxyPolicy;
use crate::service::Frontend;

/// All that is known.
pub(crate) struct Known<'a> {
    /// This node.
    pub(crate) node: NodeAddress,
    /// Every node with a pod prefix.
    pub(crate) nodes: &'a [NodeAddress],
    /// The addresses of all nodes.
    pub(crate) node_ips: &'a BTreeSet<Ipv4Addr>,
    /// Whether pods speak to the world with the node's address.
    pub(crate) masquerade: bool,
    /// Whether masqueraded clients outside of the cluster have the identity of the node.
    pub(crate) world_is_host: bool,
    /// What becomes of TCP packets of connections that are not tracked.
    pub(crate) unknown_tcp: UnknownTcp,
    /// Services.
    pub(crate) frontends: Vec<Frontend>,
    /// Policies.
    pub(crate) policies: &'a [Policy],
    /// What the nodes share.
    pub(crate) view: &'a View,
    /// The pods of this node.
    pub(crate) endpoints: &'a [Endpoint],
    /// Where the proxy listens.
    pub(crate) proxy_port: u16,
    /// Where the proxy takes questions to the DNS.
    pub(crate) dns_port: u16,
    /// Where dropped packets are queued for monitors.
    pub(crate) events: Option<Queue>,
    /// How many connections the node can hold, where that is limited.
    pub(crate) bounds: Option<Bounds>,
}

/// What shall be done.
pub(crate) struct Plan {
    /// The packet rules.
    pub(crate) ruleset: Ruleset,
    /// The routes to the nodes.
    pub(crate) routes: BTreeMap<Ipv4Net, NextHop>,
    /// The requests that the proxy lets pass.
    pub(crate) proxy: ProxyPolicy,
}

/// Makes the plan.
pub(crate) fn plan(known: Known<'_>) -> Result<Plan, ResolveError> {
    let wired = || known.endpoints.iter().filter(|endpoint| endpoint.identity != 0);
    let mut identities = known.view.identities.clone();
    identities.extend(wired().map(|endpoint| (endpoint.identity, endpoint.labels.clone())));

    let mut ipcache: BTreeMap<Ipv4Addr, u32> =
        known.view.addresses.iter().map(|(ip, address)| (*ip, address.identity)).collect();
    ipcache.extend(wired().map(|endpoint| (endpoint.ip, endpoint.identity)));
    ipcache.extend(known.node_ips.iter().map(|ip| (*ip, HOST)));

    let mut verdicts = BTreeMap::new();
    for endpoint in wired() {
        verdicts.insert(endpoint.ip, resolve(known.policies, &endpoint.labels, &identities)?);
    }
    let nodes = known.node_ips.iter().map(|ip| Ipv4Net::from(*ip));
    let cluster = known.nodes.iter().map(|it| it.pods).chain(nodes).collect();
    let proxy = ProxyPolicy::new(&ipcache, &verdicts);
    let ruleset = Ruleset {
        pod_cidr: known.node.pods,
        cluster,
        masquerade: known.masquerade,
        world_is_host: known.world_is_host,
        unknown_tcp: known.unknown_tcp,
        ipcache,
        frontends: known.frontends,
        endpoints: verdicts,
        proxy_port: known.proxy_port,
        dns_port: known.dns_port,
        events: known.events,
        bounds: known.bounds,
    };
    Ok(Plan { ruleset, routes: routes(known.node, known.nodes), proxy })
}

fn routes(own: NodeAddress, nodes: &[NodeAddress]) -> BTreeMap<Ipv4Net, NextHop> {
    let others = nodes.iter().filter(|node| node.ip != own.ip);
    let others = others.map(|node| (node.pods, NextHop::Via(node.ip)));
    others.chain([(own.pods, NextHop::Unreachable)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Address;
    use crate::identity::labels::Labels;

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 2);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 2);

    fn node(host: u8, third: u8) -> NodeAddress {
        let pods = format!("10.244.{third}.0/24").parse().unwrap();
        NodeAddress { ip: Ipv4Addr::new(10, 250, 0, host), pods }
    }

    fn endpoint() -> Endpoint {
        Endpoint {
            container_id: "c".into(),
            namespace: "shop".into(),
            pod: "server".into(),
            pod_uid: String::new(),
            ip: SERVER,
            labels: Labels::parse("k8s:app=server;k8s:io.kubernetes.pod.namespace=shop;"),
            identity: 301,
            names: Default::default(),
        }
    }

    fn plan_with(view: &View) -> Plan {
        let policy = serde_json::json!({
            "metadata": {"name": "p", "namespace": "shop"},
            "spec": {"endpointSelector": {"matchLabels": {"app": "server"}},
                     "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "client"}}]}]},
        });
        let policy = Policy::from_object(&serde_json::from_value(policy).unwrap()).unwrap();
        let nodes = [node(11, 0), node(12, 1)];
        plan(Known {
            node: nodes[0],
            nodes: &nodes,
            node_ips: &nodes.iter().map(|it| it.ip).collect(),
            masquerade: true,
            world_is_host: false,
            unknown_tcp: UnknownTcp::PickUp,
            frontends: Vec::new(),
            policies: &[policy],
            view,
            endpoints: &[endpoint()],
            proxy_port: 10000,
            dns_port: 10001,
            events: None,
            bounds: None,
        })
        .unwrap()
    }

    fn shared() -> View {
        let client = Labels::parse("k8s:app=client;k8s:io.kubernetes.pod.namespace=shop;");
        View {
            identities: BTreeMap::from([(300, client)]),
            addresses: BTreeMap::from([(CLIENT, Address { identity: 300, node: node(12, 1).ip })]),
        }
    }

    #[test]
    fn a_shared_identity_lets_the_peer_on_another_node_in() {
        let script = plan_with(&shared()).ruleset.render(1);
        assert!(script.contains("10.244.1.2 : 300"), "{script}");
        assert!(script.contains("meta mark { 300 } meta mark set 0 accept"), "{script}");
    }

    #[test]
    fn without_a_shared_store_the_peer_is_unknown_and_stays_out() {
        let script = plan_with(&View::default()).ruleset.render(1);
        assert!(!script.contains("10.244.1.2"), "{script}");
        let chain = script.split("chain ingress_10_244_0_2_g1").nth(1).unwrap();
        let rules: Vec<_> =
            chain.lines().skip(1).take_while(|line| line.trim() != "}").map(str::trim).collect();
        assert_eq!(
            rules,
            [
                "meta mark set 2",
                "meta mark set ip saddr map @ipcache_g1",
                "meta mark 1 meta l4proto { tcp, udp } th sport 61000-65535 meta mark set 2",
                "meta mark 1 meta mark set 0 accept",
                "counter drop"
            ]
        );
    }

    #[test]
    fn other_nodes_have_a_route_and_free_addresses_have_none() {
        let routes = plan_with(&View::default()).routes;
        assert_eq!(
            routes,
            BTreeMap::from([
                (node(11, 0).pods, NextHop::Unreachable),
                (node(12, 1).pods, NextHop::Via(node(12, 1).ip))
            ])
        );
    }
}
