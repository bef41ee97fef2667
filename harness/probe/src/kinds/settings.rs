//! The rates and deadlines of the standard traffic.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The rates of the kinds, and the deadlines of their probes.
///
/// Packets are cheap and measure an outage to 10 ms. A new connection costs several times as much, most of it in the
/// kernel, and is probed less often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Packets per second; a quarter as many through a Service.
    pub packet_rate: u32,
    /// Echoes per second on a held connection; half as many through a Service.
    pub held_rate: u32,
    /// Requests per second on a held HTTP connection; half as many through a Service.
    pub held_http_rate: u32,
    /// Requests per second on a held HTTP/2 connection through an L3/L4 policy.
    pub held_http2_rate: u32,
    /// New connections per second.
    pub new_rate: u32,
    /// Probes per second that policy must block; a forbidden HTTP path is probed at the rate of new connections.
    pub deny_rate: u32,
    /// Probes per second on each further path: ICMP, to and from hosts, to a Service of several servers.
    pub low_rate: u32,
    /// Queries per second to the cluster's DNS over UDP.
    pub dns_rate: u32,
    /// Queries per second to the cluster's DNS over TCP.
    pub dns_tcp_rate: u32,
    /// Canary packets per second.
    pub canary_rate: u32,
    /// Time between two new pods on a node, ms.
    pub pod_period_ms: u32,
    /// A new pod without an answer until this time is lost, ms.
    pub pod_deadline_ms: u32,
    /// A probe without an answer until this time is lost, ms.
    pub deadline_ms: u32,
    /// An answer after this time is slow, ms.
    pub slow_ms: u32,
    /// Whether a pod also probes addresses outside the cluster, one of which has a name.
    pub names: bool,
    /// Whether pods are also probed at IPv6 addresses.
    pub ipv6: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            packet_rate: 100,
            held_rate: 25,
            held_http_rate: 20,
            held_http2_rate: 10,
            new_rate: 10,
            deny_rate: 20,
            low_rate: 5,
            dns_rate: 10,
            dns_tcp_rate: 2,
            canary_rate: 50,
            pod_period_ms: 6_000,
            pod_deadline_ms: 10_000,
            deadline_ms: 300,
            slow_ms: 100,
            names: false,
            ipv6: false,
        }
    }
}

impl Settings {
    /// Returns the time until which a probe must be answered.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }
}
