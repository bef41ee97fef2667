//! The flows of the standard traffic as tables: a new path or kind is a row.

use super::{
    CANARY_PORT, CLOSED_PORT, DNS_PORT, HOST_PORT, HTTP_PORT, HTTP2_PORT, L7_PORT, OUTSIDE_PORT, Settings,
    TCP_PORT, UDP_PORT,
};
use crate::exchange::{PRIVATE_PATH, PUBLIC_PATH};
use crate::flow::{Kind, Policy, Protocol, Via};

use Kind as K;
use Policy as P;
use Protocol as T;

/// Bytes that fit into a packet of 1,500 bytes, and not into one that a tunnel takes 50 bytes of.
const OVER_TUNNEL_MTU: u16 = 1_450;
/// Bytes that fit into no packet of an Ethernet.
const OVER_MTU: u16 = 2_000;

/// A flow of the plan, before it has ends.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) protocol: Protocol,
    pub(super) policy: Policy,
    pub(super) via: Via,
    pub(super) port: u16,
    pub(super) period_ns: u64,
    pub(super) bytes: u16,
}

/// A flow that must be blocked: who asks, what the flow is called, and for HTTP what is asked for.
pub(super) struct Denied {
    pub(super) client: &'static str,
    pub(super) name: &'static str,
    pub(super) http_path: &'static str,
    pub(super) row: Row,
}

/// From the client to every server that policies select.
pub(super) fn to_servers(settings: &Settings) -> Vec<Row> {
    let both = [Via::PodIp, Via::ClusterIp].as_slice();
    // Behind a Service only the first packet of a socket is looked up: the others go as those to the pod do.
    [
        (K::Packet, T::Udp, P::L4Policy, UDP_PORT, settings.packet_rate, &both[..1]),
        (K::Packet, T::Udp, P::L4Policy, UDP_PORT, settings.packet_rate / 4, &both[1..]),
        (K::Held, T::Tcp, P::L4Policy, TCP_PORT, settings.held_rate, &both[..1]),
        (K::Held, T::Tcp, P::L4Policy, TCP_PORT, settings.held_rate / 2, &both[1..]),
        (K::Held, T::Http, P::L7Policy, L7_PORT, settings.held_http_rate, &both[..1]),
        (K::Held, T::Http, P::L7Policy, L7_PORT, settings.held_http_rate / 2, &both[1..]),
        (K::Held, T::Http2, P::L4Policy, HTTP2_PORT, settings.held_http2_rate, &both[..1]),
        (K::New, T::Tcp, P::L4Policy, TCP_PORT, settings.new_rate, &[Via::ClusterIp]),
        (K::New, T::Http, P::L4Policy, HTTP_PORT, settings.new_rate, &[Via::PodIp]),
        (K::New, T::Http, P::L7Policy, L7_PORT, settings.new_rate, &[Via::PodIp]),
    ]
    .into_iter()
    .flat_map(|(kind, protocol, policy, port, rate, vias)| {
        vias.iter().map(move |&via| row(kind, protocol, policy, via, port, rate))
    })
    .collect()
}

/// To every server that policies select: a client at a port nobody is granted, a stranger at one that others
/// are, and a client at a path nobody is granted.
pub(super) fn to_servers_denied(settings: &Settings) -> [Denied; 3] {
    let denied = |client, name, http_path, (protocol, policy, port, rate)| {
        let row = row(K::Deny, protocol, policy, Via::PodIp, port, rate);
        Denied { client, name, http_path, row }
    };
    let (cheap, proxied) = (settings.deny_rate, settings.new_rate);
    [
        denied("client-1", "deny-port", PUBLIC_PATH, (T::Tcp, P::L4Policy, CLOSED_PORT, cheap)),
        denied("stranger", "deny-stranger", PUBLIC_PATH, (T::Udp, P::L4Policy, UDP_PORT, cheap)),
        denied("client-1", "deny-path", PRIVATE_PATH, (T::Http, P::L7Policy, L7_PORT, proxied)),
    ]
}

/// From the client to the Service behind which all servers are.
pub(super) fn to_all_servers(settings: &Settings) -> [Row; 1] {
    [row(K::New, T::Tcp, P::L4Policy, Via::ClusterIp, TCP_PORT, settings.low_rate)]
}

/// From a client to an open server, whose kernel answers.
pub(super) fn ping(settings: &Settings) -> Row {
    row(K::Packet, T::Icmp, P::NoPolicy, Via::PodIp, 0, settings.low_rate)
}

/// From a client to the open server of another node.
pub(super) fn to_open_server(settings: &Settings) -> [Row; 7] {
    let row = |kind, protocol, port, rate| row(kind, protocol, P::NoPolicy, Via::PodIp, port, rate);
    let large = |kind, protocol, port, bytes| Row { bytes, ..row(kind, protocol, port, settings.low_rate) };
    [
        row(K::Packet, T::Udp, UDP_PORT, settings.packet_rate),
        large(K::Packet, T::Udp, UDP_PORT, OVER_TUNNEL_MTU),
        large(K::Packet, T::Udp, UDP_PORT, OVER_MTU),
        large(K::Held, T::Tcp, TCP_PORT, OVER_MTU),
        row(K::Held, T::Tcp, TCP_PORT, settings.held_rate),
        row(K::Held, T::Http2, HTTP2_PORT, settings.low_rate),
        row(K::New, T::Tcp, TCP_PORT, settings.new_rate),
    ]
}

/// From a client to every open server, at its IPv6 address.
pub(super) fn over_ipv6(settings: &Settings) -> [Row; 4] {
    let row = |kind, protocol, port, rate| row(kind, protocol, P::NoPolicy, Via::PodIpv6, port, rate);
    [
        row(K::Packet, T::Udp, UDP_PORT, settings.packet_rate),
        row(K::Packet, T::Icmp, 0, settings.low_rate),
        row(K::Held, T::Tcp, TCP_PORT, settings.held_rate),
        row(K::New, T::Tcp, TCP_PORT, settings.new_rate),
    ]
}

/// From the client to the open server, to measure the measurement.
pub(super) fn to_calibrate(rate: u32) -> [Row; 2] {
    let row = |kind, protocol, port| row(kind, protocol, P::NoPolicy, Via::PodIp, port, rate);
    [row(K::Packet, T::Udp, UDP_PORT), row(K::Held, T::Tcp, TCP_PORT)]
}

/// From a host's network to the open server of another node.
pub(super) fn from_host(settings: &Settings) -> [Row; 2] {
    let row = |kind, protocol, port| row(kind, protocol, P::NoPolicy, Via::PodIp, port, settings.low_rate);
    [row(K::Packet, T::Udp, UDP_PORT), row(K::New, T::Tcp, TCP_PORT)]
}

/// From the client to a server in the network of another host.
pub(super) fn to_host(settings: &Settings) -> [Row; 2] {
    let row = |kind, protocol, port| row(kind, protocol, P::NoPolicy, Via::HostIp, port, settings.low_rate);
    [row(K::Packet, T::Udp, CANARY_PORT), row(K::New, T::Tcp, HOST_PORT)]
}

/// From clients to the cluster's DNS, over UDP and over TCP.
pub(super) fn to_dns(settings: &Settings) -> [Row; 2] {
    let row = |protocol, rate| row(K::Dns, protocol, P::NoPolicy, Via::ClusterIp, DNS_PORT, rate);
    [row(T::Udp, settings.dns_rate), row(T::Tcp, settings.dns_tcp_rate)]
}

/// From a host outside of the cluster to the open server, over a port of a node.
pub(super) fn from_outside(settings: &Settings) -> Row {
    row(K::New, T::Tcp, P::NoPolicy, Via::NodePort, TCP_PORT, settings.new_rate)
}

/// From the client to a host outside of the cluster.
pub(super) fn to_outside(settings: &Settings) -> Row {
    row(K::New, T::Tcp, P::NoPolicy, Via::Outside, OUTSIDE_PORT, settings.new_rate)
}

/// To an address outside of the cluster, by the name of which it was allowed, and to one that was not.
pub(super) fn to_names(settings: &Settings) -> [(Row, &'static str); 3] {
    let row = |kind, rate| row(kind, T::Tcp, P::L4Policy, Via::Outside, OUTSIDE_PORT, rate);
    [
        (row(K::Held, settings.held_rate), "held-tcp"),
        (row(K::New, settings.new_rate), "new-tcp"),
        (row(K::Deny, settings.new_rate), "deny-outside"),
    ]
}

/// From each new pod to the open server.
pub(super) fn from_new_pods(settings: &Settings) -> Row {
    let period_ns = u64::from(settings.pod_period_ms) * 1_000_000;
    let row = row(K::Pod, T::Tcp, P::NoPolicy, Via::PodIp, TCP_PORT, 1);
    Row { period_ns, ..row }
}

/// Between hosts, crossing nothing that is upgraded.
pub(super) fn canary(settings: &Settings) -> Row {
    row(K::Canary, T::Udp, P::NoPolicy, Via::HostIp, CANARY_PORT, settings.canary_rate)
}

fn row(kind: Kind, protocol: Protocol, policy: Policy, via: Via, port: u16, rate: u32) -> Row {
    Row { kind, protocol, policy, via, port, period_ns: hertz(rate), bytes: 0 }
}

fn hertz(rate: u32) -> u64 {
    u64::from(1_000_000_000 / rate.max(1))
}
