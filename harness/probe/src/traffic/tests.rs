//! The standard traffic is whole, and what is left out of it is nothing else.

use model::Layer;
use rstest::rstest;

use super::*;
use crate::flow::{Expectation, Place};

fn plan(nodes: usize) -> Traffic {
    plan_at(nodes, true)
}

fn plan_at(nodes: usize, outside: bool) -> Traffic {
    let nodes: Vec<_> = (1..=nodes).map(|n| format!("node{n}")).collect();
    Traffic::standard(&nodes, outside, &Settings::default())
}

#[rstest]
#[case::none(0)]
#[case::one(1)]
#[case::two(2)]
#[case::three(3)]
#[case::five_has_three_servers(5)]
fn every_flow_is_whole_and_named_once(#[case] nodes: usize) {
    let traffic = plan(nodes);
    assert_eq!(traffic.flows.is_empty(), nodes == 0);
    assert_eq!(plan(5).flows, plan(3).flows, "more nodes add load and no new path");
    let ids: BTreeSet<_> = traffic.flows.iter().map(|flow| &flow.id).collect();
    assert_eq!(ids.len(), traffic.flows.len(), "{ids:#?}");
    for flow in &traffic.flows {
        let listens = |listeners: &[Listener]| {
            listeners.iter().any(|own| own.port == flow.port && own.protocol == flow.protocol)
        };
        let pod = traffic.pods.iter().find(|pod| pod.name == flow.server.pod);
        let service = traffic.services.iter().find(|service| service.name == flow.server.pod);
        match (flow.protocol, flow.kind, pod, service) {
            (Protocol::Icmp, _, Some(_), _) | (_, Kind::Dns, None, None) => {}
            (_, _, Some(pod), _) => assert!(listens(&pod.listeners), "{}", flow.id),
            (_, _, None, Some(service)) => assert!(listens(&service.ports), "{}", flow.id),
            _ => panic!("{} asks nobody", flow.id),
        }
        // Only the cluster knows where its DNS is.
        let known = !flow.server.node.is_empty() || flow.kind == Kind::Dns;
        assert!(known && !flow.client.node.is_empty(), "{}", flow.id);
        assert!(flow.slow_ns < flow.deadline_ns && flow.period_ns > 0);
    }
}

#[test]
fn without_policies_nothing_is_denied_and_every_path_stays() {
    let (all, plain) = (plan(2), plan(2).without_policies());
    assert!(plain.grants.is_empty());
    assert!(plain.flows.iter().all(|flow| flow.path.policy == Policy::NoPolicy && flow.kind != Kind::Deny));
    let paths = |traffic: &Traffic| -> BTreeSet<String> {
        let flows = traffic.flows.iter().filter(|flow| flow.kind != Kind::Deny);
        flows.map(|flow| format!("{} {}", flow.path.place, flow.path.via)).collect()
    };
    assert_eq!(paths(&plain), paths(&all));
    let ids: BTreeSet<_> = plain.flows.iter().map(|flow| &flow.id).collect();
    assert_eq!(ids.len(), plain.flows.len());
    assert!(ids.contains(&"held-tcp/cross-node/cluster-ip/no-policy".to_owned()), "{ids:#?}");
}

#[test]
fn every_kind_is_required_and_more_may_be() {
    let required = ["held-http/cross-node".to_owned(), "held-smtp".to_owned()];
    assert_eq!(plan(2).lacks(&required), ["flow held-smtp"]);
    assert_eq!(plan(1).lacks(&required), ["flow held-http/cross-node", "flow held-smtp"]);
    let mut without = plan(2);
    without.flows.retain(|flow| flow.kind != Kind::Dns);
    assert_eq!(without.lacks_kinds(), ["flows of the kind dns"]);
    assert!(plan(2).lacks_kinds().is_empty());
}

#[test]
fn without_services_pods_are_asked_themselves_and_what_is_outside_still_is() {
    let plain = plan(2).without_policies().without(&[Via::ClusterIp, Via::NodePort]);
    assert!(plain.services.is_empty() && plain.flows.iter().all(|flow| flow.service.is_none()));
    let vias: Vec<_> = [Via::PodIp, Via::HostIp, Via::Outside]
        .into_iter()
        .filter(|via| plain.flows.iter().any(|flow| flow.path.via == *via))
        .collect();
    assert_eq!(vias.len(), 3, "{vias:?}");
    let outside = |traffic: &Traffic| -> Vec<String> {
        let pods = traffic.pods.iter().filter(|pod| pod.part.is_outside());
        pods.map(|pod| pod.name.clone()).collect()
    };
    assert_eq!(outside(&plain), ["outside-server"]);
    let inside = plain.clone().without(&[Via::Outside]);
    assert!(outside(&inside).is_empty());
    assert_ne!(inside.fingerprint(), plain.fingerprint());
}

#[test]
fn the_fingerprint_tells_how_flows_are_probed_and_not_where() {
    let mut elsewhere = plan(2);
    elsewhere.flows.reverse();
    elsewhere.flows[0].address = Some(Ipv4Addr::LOCALHOST.into());
    assert_eq!(elsewhere.fingerprint(), plan(2).fingerprint());
    assert_ne!(plan(3).fingerprint(), plan(2).fingerprint());
    assert_ne!(plan_at(2, false).fingerprint(), plan(2).fingerprint());
    let mut slower = plan(2);
    slower.flows[0].period_ns += 1;
    assert_ne!(slower.fingerprint(), plan(2).fingerprint());
}

#[test]
fn names_bring_a_pod_that_asks_one_address_and_must_not_reach_another() {
    let nodes = ["node1".to_owned(), "node2".to_owned()];
    let traffic = Traffic::standard(&nodes, true, &Settings { names: true, ..Settings::default() });
    let plain = plan(2);
    assert!(traffic.flows.starts_with(&plain.flows) && plain.names.is_empty());
    let more = traffic.flows[plain.flows.len()..].iter();
    let more: Vec<_> = more.map(|flow| (flow.id.as_str(), flow.layer, flow.address)).collect();
    let [named, nameless] = OUTSIDE.map(|ip| Some(ip.into()));
    assert_eq!(
        more,
        [
            ("held-tcp/pod-to-host/outside/l4-policy", Layer::L4, named),
            ("new-tcp/pod-to-host/outside/l4-policy", Layer::L4, named),
            ("deny-outside/pod-to-host/outside/l4-policy", Layer::Policy, nameless),
        ]
    );
    assert_eq!(traffic.names, [OutsideName { name: "outside".into(), address: OUTSIDE[0] }]);
}

#[rstest]
#[case::one_node(1, &["same-node"])]
#[case::two_nodes(2, &["same-node", "cross-node"])]
fn pods_are_asked_at_ipv6_addresses_where_that_is_wanted(#[case] nodes: usize, #[case] places: &[&str]) {
    let names: Vec<_> = (1..=nodes).map(|n| format!("node{n}")).collect();
    let traffic = Traffic::standard(&names, true, &Settings { ipv6: true, ..Settings::default() });
    let plain = plan(nodes);
    assert!(traffic.flows.starts_with(&plain.flows) && traffic.pods == plain.pods);
    let more: BTreeSet<_> = traffic.flows[plain.flows.len()..].iter().map(|flow| flow.id.as_str()).collect();
    let kinds = ["packet-udp", "packet-icmp", "held-tcp", "new-tcp"];
    let ids = places
        .iter()
        .flat_map(|place| kinds.iter().map(move |kind| format!("{kind}/{place}/pod-ipv6/no-policy")));
    assert_eq!(more, ids.collect::<Vec<_>>().iter().map(String::as_str).collect());
}

#[test]
fn without_a_host_outside_nothing_is_asked_from_there_or_there() {
    let (all, inside) = (plan(2), plan_at(2, false));
    let outside = |flow: &&FlowSpec| [&flow.client, &flow.server].iter().any(|end| end.node == OUTSIDE_HOST);
    let ids: Vec<_> = all.flows.iter().filter(outside).map(|flow| flow.id.as_str()).collect();
    assert_eq!(
        ids,
        ["new-tcp/outside-to-pod/node-port/no-policy", "new-tcp/pod-to-outside/outside/no-policy"]
    );
    assert_eq!(inside.flows.len(), all.flows.len() - ids.len());
    assert!(!inside.pods.iter().any(|pod| pod.part.is_outside()));
    assert!(!inside.services.iter().any(|service| service.on_nodes));
}

#[test]
fn a_node_port_is_asked_on_a_node_that_does_not_hold_the_server() {
    let traffic = plan(3);
    let flow = traffic.flows.iter().find(|flow| flow.path.via == Via::NodePort).unwrap();
    assert_eq!((flow.node_of_client(), flow.server.to_string().as_str()), ("node1", "open-server on node2"));
    assert_eq!(flow.client.to_string(), "outside-client on outside");
    let service = traffic.services.iter().find(|service| Some(&service.name) == flow.service.as_ref());
    assert!(service.unwrap().on_nodes);
}

#[test]
fn the_second_node_asks_what_passes_no_policy_and_the_first_all_that_does() {
    let traffic = plan(2);
    let asked: Vec<_> = traffic.flows_of("client-2").collect();
    assert!(asked.len() >= 10, "{asked:#?}");
    for flow in asked {
        assert_eq!((flow.client.node.as_str(), flow.path.policy), ("node2", Policy::NoPolicy), "{}", flow.id);
        assert_ne!(flow.server.node, "node2", "{}", flow.id);
    }
    let policed = traffic.flows.iter().filter(|flow| flow.path.policy != Policy::NoPolicy);
    assert!(policed.into_iter().all(|flow| flow.client.node == "node1"));
    assert!(!plan(1).pods.iter().any(|pod| pod.name == "client-2"));
}

#[test]
fn one_node_has_no_cross_node_flow() {
    assert!(plan(1).flows.iter().all(|flow| flow.path.place != Place::CrossNode));
}

#[test]
fn a_service_of_all_servers_answers_from_every_node() {
    let traffic = plan(3);
    let flow = traffic.flows.iter().find(|flow| flow.server.pod == ALL_SERVERS).unwrap();
    assert_eq!(flow.server_nodes, ["node1", "node2", "node3"]);
    assert_eq!(flow.server.to_string(), "servers on node1, node2, node3");
}

#[rstest]
#[case("packet-udp/same-node/pod-ip/l4-policy", Layer::L3)]
#[case("packet-udp/cross-node/cluster-ip/l4-policy", Layer::L3)]
#[case("packet-udp/cross-node/pod-ip/no-policy", Layer::L3)]
#[case("held-tcp/cross-node/cluster-ip/l4-policy", Layer::L4)]
#[case("held-http/same-node/cluster-ip/l7-policy", Layer::L7)]
#[case("held-http2/same-node/pod-ip/l4-policy", Layer::L4)]
#[case("held-http2/cross-node/pod-ip/l4-policy", Layer::L4)]
#[case("held-http2/cross-node/pod-ip/no-policy", Layer::L4)]
#[case("held-http/cross-node/pod-ip/l7-policy", Layer::L7)]
#[case("new-http/cross-node/pod-ip/l4-policy", Layer::L4)]
#[case("new-http/cross-node/pod-ip/l7-policy", Layer::L7)]
#[case("deny-stranger/cross-node/pod-ip/l4-policy", Layer::Policy)]
#[case("deny-port/same-node/pod-ip/l4-policy", Layer::Policy)]
#[case("deny-path/cross-node/pod-ip/l7-policy", Layer::Policy)]
#[case("packet-icmp/same-node/pod-ip/no-policy", Layer::L3)]
#[case("packet-icmp/cross-node/pod-ip/no-policy", Layer::L3)]
#[case("packet-udp/host-to-pod/pod-ip/no-policy", Layer::L3)]
#[case("new-tcp/pod-to-host/host-ip/no-policy", Layer::L4)]
#[case("new-tcp/outside-to-pod/node-port/no-policy", Layer::L4)]
#[case("new-tcp/pod-to-outside/outside/no-policy", Layer::L4)]
#[case("new-tcp/any-node/cluster-ip/l4-policy", Layer::L4)]
#[case("dns-udp/any-node/cluster-ip/no-policy", Layer::L4)]
#[case("dns-tcp/any-node/cluster-ip/no-policy", Layer::L4)]
#[case("pod-tcp/same-node/pod-ip/no-policy", Layer::Control)]
#[case("pod-tcp/cross-node/pod-ip/no-policy", Layer::Control)]
#[case("canary-udp/cross-node/host-ip/no-policy", Layer::Canary)]
fn flow_exists(#[case] id: &str, #[case] layer: Layer) {
    let traffic = plan(2);
    let flow = traffic.flows.iter().find(|flow| flow.id == id).unwrap();
    assert_eq!(flow.layer, layer);
}

/// The deny flows and the grants must not contradict each other, or the run proves nothing.
#[test]
fn what_is_denied_is_not_granted_and_the_rest_is() {
    let traffic = plan(2);
    let part = |name: &str| traffic.pods.iter().find(|pod| pod.name == name).map(|pod| pod.part);
    for flow in traffic.flows.iter().filter(|flow| part(&flow.server.pod) == Some(Part::Server)) {
        let granted = part(&flow.client.pod) == Some(Part::Client)
            && traffic.grants.iter().any(|grant| {
                let path = flow.http_path.as_deref();
                let passes = grant.http.is_empty() || grant.http.iter().any(|rule| Some(&*rule.path) == path);
                grant.port == flow.port && passes
            });
        assert_eq!(granted, flow.expect == Expectation::Answered, "{}", flow.id);
    }
}
