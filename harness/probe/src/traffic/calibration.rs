//! The traffic of a calibration: few flows, probed often, on one path across two nodes.

use super::{Part, Row, Settings, TCP_PORT, Traffic, UDP_PORT, canary};
use crate::flow::{Kind, Policy, Protocol, Via};

impl Traffic {
    /// Plans a packet flow and a held TCP flow from the first node to the second, `rate` probes a second
    /// each, and a canary; empty with fewer than two nodes.
    #[must_use]
    pub fn calibration(nodes: &[String], rate: u32) -> Self {
        let mut traffic =
            Self { pods: Vec::new(), services: Vec::new(), flows: Vec::new(), grants: Vec::new() };
        let [near, far, ..] = nodes else { return traffic };
        traffic.pod("client-1", near, Part::Client);
        traffic.pod("canary-client", near, Part::CanaryClient);
        traffic.pod("canary-server", far, Part::CanaryServer);
        traffic.pod("open-server", far, Part::OpenServer);
        let settings = Settings::default();
        let open = |kind, protocol, port| Row {
            kind,
            protocol,
            policy: Policy::NoPolicy,
            via: Via::PodIp,
            port,
            rate,
        };
        traffic.flow("client-1", "open-server", &open(Kind::Packet, Protocol::Udp, UDP_PORT), &settings);
        traffic.flow("client-1", "open-server", &open(Kind::Held, Protocol::Tcp, TCP_PORT), &settings);
        traffic.flow("canary-client", "canary-server", &canary(&settings), &settings);
        traffic
    }
}
