//! How much traffic there is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often each kind is probed, and how long an answer may take.
///
/// Packets are cheap, and show an outage to 10 ms. What needs a new connection costs several times as much, most of
/// it in the kernel, and is probed less often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Packets a second; a quarter as many through a Service.
    pub packet_rate: u32,
    /// Echoes a second on a held connection; half as many through a Service.
    pub held_rate: u32,
    /// Requests a second on a held HTTP connection; half as many through a Service.
    pub held_http_rate: u32,
    /// Requests a second on a held HTTP/2 connection through a policy on ports.
    pub held_http2_rate: u32,
    /// New connections a second.
    pub new_rate: u32,
    /// Probes a second that must be blocked; a forbidden HTTP path is asked for at the rate of new connections.
    pub deny_rate: u32,
    /// Probes a second on each further path: ICMP, to and from hosts, to a Service of several servers.
    pub low_rate: u32,
    /// Questions a second to the cluster's DNS over UDP.
    pub dns_rate: u32,
    /// The same over TCP.
    pub dns_tcp_rate: u32,
    /// Canary packets a second.
    pub canary_rate: u32,
    /// Time between two new pods on a node, ms.
    pub pod_period_ms: u32,
    /// A new pod that cannot talk for so long is lost, ms.
    pub pod_deadline_ms: u32,
    /// A probe without an answer for so long is lost, ms.
    pub deadline_ms: u32,
    /// An answer that takes longer is slow, ms.
    pub slow_ms: u32,
    /// Whether a pod also asks addresses outside of the cluster, one of which has a name.
    pub names: bool,
    /// Whether pods are also asked at IPv6 addresses.
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
    /// Returns how long a probe may go unanswered.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }
}
