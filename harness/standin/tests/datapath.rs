//! The datapath on a cluster of two nodes made of network namespaces, with real sockets.
//!
//! Namespaces have no names: they vanish with the test, however it ends.

#[path = "datapath/connections.rs"]
mod connections;
#[path = "datapath/lab.rs"]
mod lab;
#[path = "datapath/netns.rs"]
mod netns;
#[path = "datapath/replacement.rs"]
mod replacement;
#[path = "datapath/traffic.rs"]
mod traffic;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use crate::datapath::events::Queue;
use crate::policy::resolve::Transport;
use lab::{Lab, NEAR, NODE_PORT, NODES, OUTSIDE, REMOTE, SERVICE};
use rstest::rstest;
use serde_json::{Value, json};
use traffic::{connect, get, request};

const NEAR_ECHO: SocketAddrV4 = SocketAddrV4::new(*NEAR.ip(), 7000);

fn from_client(ports: Value) -> Value {
    json!({"endpointSelector": {"matchLabels": {"app": "server"}}, "ingress": [
        {"fromEndpoints": [{"matchLabels": {"app": "client"}}], "toPorts": ports}]})
}

fn l4() -> Value {
    from_client(json!([{"ports": [{"port": "7000"}, {"port": "8080"}]}]))
}

fn l7() -> Value {
    from_client(json!([{"ports": [{"port": "8080", "protocol": "TCP"}],
        "rules": {"http": [{"method": "GET", "path": "/public"}]}}]))
}

#[test]
fn a_service_reaches_every_backend_from_pods_and_nodes() {
    let lab = Lab::new();
    lab.program(&[]);
    for source in [&lab.client, lab.node_namespace(0)] {
        let answers: std::collections::BTreeSet<String> =
            (0..40).map(|_| source.run(|| get(SERVICE, "/public").unwrap().1)).collect();
        assert_eq!(answers.len(), 2, "{answers:?}");
    }
}

/// The policy lets clients in alone: one outside comes in as the node, or not at all, through whichever node.
#[rstest]
#[case::as_the_node(true)]
#[case::as_the_world(false)]
fn the_world_comes_in_as_the_node_or_by_policy(#[case] world_is_host: bool) {
    let mut lab = Lab::new();
    lab.world_is_host = world_is_host;
    let asked =
        |lab: &Lab, node| lab.outside.run(|| get(SocketAddrV4::new(node, NODE_PORT), "/public")).is_ok();
    lab.program(&[l4()]);
    for node in NODES {
        // Often enough for both backends.
        for _ in 0..6 {
            assert_eq!(asked(&lab, node), world_is_host, "{node}");
        }
    }
    let world = json!({"endpointSelector": {"matchLabels": {"app": "server"}},
        "ingress": [{"fromEntities": ["world"]}]});
    lab.program(&[l4(), world]);
    for node in NODES {
        assert!((0..6).all(|_| asked(&lab, node)), "{node}");
    }
}

/// The host outside asks a node, and knows nobody else: an answer from a pod's own address would be lost on it.
#[test]
fn a_port_of_any_node_reaches_every_backend_from_outside() {
    let lab = Lab::new();
    lab.program(&[]);
    for node in NODES {
        let port = SocketAddrV4::new(node, NODE_PORT);
        let answers: std::collections::BTreeSet<String> =
            (0..40).map(|_| lab.outside.run(|| get(port, "/public").unwrap().1)).collect();
        assert_eq!(answers.len(), 2, "{node}: {answers:?}");
    }
}

#[test]
fn a_pod_speaks_to_the_world_with_its_nodes_address() {
    let lab = Lab::new();
    lab.program(&[]);
    let world = SocketAddrV4::new(OUTSIDE, 8080);
    let listener = lab.outside.run(|| TcpListener::bind(world).unwrap());
    let _asking = lab.client.run(|| connect(world).unwrap());
    assert_eq!(listener.accept().unwrap().1.ip(), NODES[0]);
}

#[test]
fn a_service_without_backends_refuses_at_once() {
    let lab = Lab::new();
    lab.program(&[]);
    let empty = SocketAddrV4::new(*SERVICE.ip(), 81);
    let begun = Instant::now();
    let error = lab.client.run(|| connect(empty)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    assert!(begun.elapsed() < Duration::from_millis(500));
}

/// Its own policy does not stand in the way, though it stops the same pod at the other backend.
#[test]
fn a_pod_reaches_itself_through_its_service() {
    let lab = Lab::new();
    lab.program(&[l4()]);
    let answers: Vec<String> =
        (0..20).filter_map(|_| lab.near.run(|| get(SERVICE, "/")).ok()).map(|(_, name)| name).collect();
    assert!(!answers.is_empty());
    assert!(answers.iter().all(|name| name == "near"), "{answers:?}");
}

#[rstest]
#[case::same_node(NEAR)]
#[case::other_node(REMOTE)]
fn policy_lets_in_whom_it_names(#[case] server: SocketAddrV4) {
    let lab = Lab::new();
    lab.program(&[l4()]);
    assert_eq!(lab.client.run(|| get(server, "/any").unwrap().0), 200);
    let denied = lab.stranger.run(|| connect(server)).unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::TimedOut, "denied traffic is dropped without an answer: {denied}");
    let other_port = SocketAddrV4::new(*server.ip(), 9090);
    assert_eq!(lab.client.run(|| connect(other_port)).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn nodes_always_reach_their_pods() {
    let lab = Lab::new();
    lab.program(&[json!({"endpointSelector": {}, "ingress": [{}]})]);
    assert_eq!(lab.node_namespace(0).run(|| get(NEAR, "/").unwrap().0), 200);
    assert!(lab.client.run(|| connect(NEAR)).is_err());
}

#[test]
fn egress_policy_holds_on_the_senders_node() {
    let lab = Lab::new();
    lab.program(&[json!({"endpointSelector": {"matchLabels": {"app": "client"}}, "egress": [
        {"toEndpoints": [{"matchLabels": {"app": "server"}}], "toPorts": [{"ports": [{"port": "8080"}]}]}]})]);
    assert_eq!(lab.client.run(|| get(REMOTE, "/").unwrap().0), 200);
    assert_eq!(lab.client.run(|| get(NEAR, "/").unwrap().0), 200);
    let other_port = SocketAddrV4::new(*REMOTE.ip(), 9090);
    assert!(lab.client.run(|| connect(other_port)).is_err());
    assert_eq!(lab.stranger.run(|| get(REMOTE, "/").unwrap().0), 200);
}

#[test]
fn a_new_policy_reaches_connections_that_exist() {
    let lab = Lab::new();
    lab.program(&[]);
    let mut held = lab.stranger.run(|| connect(REMOTE)).unwrap();
    assert_eq!(request(&mut held, "/").unwrap().0, 200);
    lab.program(&[l4()]);
    let cut = request(&mut held, "/").unwrap_err();
    assert!(matches!(cut.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{cut}");
}

#[rstest]
#[case::same_node(NEAR)]
#[case::other_node(REMOTE)]
#[case::service(SERVICE)]
fn http_policy_answers_for_the_pod(#[case] server: SocketAddrV4) {
    let lab = Lab::new();
    let _proxies = lab.start_proxies(&[l7()]);
    let mut held = lab.client.run(|| connect(server)).unwrap();
    for _ in 0..3 {
        assert_eq!(request(&mut held, "/public").unwrap().0, 200);
        let (status, text) = request(&mut held, "/private").unwrap();
        assert_eq!((status, text.trim()), (403, "Access denied"));
    }
    assert!(lab.stranger.run(|| connect(server)).is_err(), "the proxy is for named peers only");
}

#[rstest]
#[case::same_node(NEAR)]
#[case::other_node(REMOTE)]
fn while_the_proxy_is_away_connections_are_reset_and_none_passes(#[case] server: SocketAddrV4) {
    let lab = Lab::new();
    let proxies = lab.start_proxies(&[l7()]);
    let mut held = lab.client.run(|| connect(server)).unwrap();
    assert_eq!(request(&mut held, "/public").unwrap().0, 200);

    drop(proxies);
    assert!(request(&mut held, "/public").is_err(), "the held connection has to be cut");
    let refused = lab.client.run(|| connect(server)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
    assert_eq!(lab.node_namespace(0).run(|| get(server, "/").unwrap().0), 200, "nodes need no proxy");

    let _proxies = lab.start_proxies(&[l7()]);
    assert_eq!(lab.client.run(|| get(server, "/public").unwrap().0), 200);
    assert_eq!(lab.client.run(|| get(server, "/private").unwrap().0), 403);
}

#[test]
fn a_closed_port_behind_the_proxy_is_refused() {
    let lab = Lab::new();
    let policy = from_client(json!([{"ports": [{"port": "9191", "protocol": "TCP"}],
        "rules": {"http": [{"path": "/"}]}}]));
    let _proxies = lab.start_proxies(&[policy]);
    let closed = SocketAddrV4::new(*REMOTE.ip(), 9191);
    let answer = lab.client.run(|| get(closed, "/"));
    let error = answer.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused), "{error}");
}

#[test]
fn what_policy_drops_is_queued_across_agents_and_what_finds_no_place_is_counted() {
    let mut lab = Lab::new();
    lab.events = Some(Queue { size: 4 });
    lab.program(&[l4()]);
    let strangers = lab.stranger.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    let send = |count| (0..count).for_each(|_| assert_eq!(strangers.send_to(b"x", NEAR_ECHO).unwrap(), 1));
    send(3);
    // The next agent finds what was queued before it.
    lab.program(&[l4(), l7()]);
    let (events, lost) = lab.take_events(0);
    assert_eq!((events.len(), lost), (3, 0));
    assert!(
        events.iter().all(|it| it.transport == Transport::Udp && it.to == (*NEAR.ip(), 7000)),
        "{events:?}"
    );
    send(7);
    let (events, lost) = lab.take_events(0);
    assert_eq!((events.len(), lost), (4, 3));
    assert_eq!(lab.take_events(0), (vec![], 0));
    assert_eq!(lab.stranger.run(|| connect(NEAR)).unwrap_err().kind(), ErrorKind::TimedOut);
    let (events, _) = lab.take_events(0);
    assert!(events.iter().all(|it| it.transport == Transport::Tcp) && !events.is_empty(), "{events:?}");
}

#[test]
fn an_agent_that_starts_again_goes_on_from_the_rules_of_the_one_before_and_sweeps_them() {
    let lab = Lab::new();
    lab.program(&[l4()]);
    let generations = || lab.generations(0).into_iter().collect::<Vec<_>>();
    assert_eq!(generations(), ["1"]);
    // A packet may be on its way through the one before.
    lab.program(&[]);
    assert_eq!(generations(), ["1", "2"]);
    lab.program(&[l4()]);
    assert_eq!(generations(), ["2", "3"]);
}

#[test]
fn unreachable_pods_are_reported_to_the_sender() {
    let lab = Lab::new();
    lab.program(&[]);
    let nobody = SocketAddrV4::new(Ipv4Addr::new(10, 244, 0, 200), 8080);
    let error = lab.client.run(|| connect(nobody)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostUnreachable, "{error}");
}
