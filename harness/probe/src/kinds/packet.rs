//! `packet`: independent datagrams, over UDP and ICMP.

use std::net::SocketAddr;

use model::{Kind, Layer, Protocol};

use super::TrafficKind;
use super::ports::{CANARY_PORT, UDP_PORT};
use super::row::{Route, Row};
use super::settings::Settings;
use crate::client::recorder::Recorder;
use crate::client::{ClientError, OnDue, icmp, packet};
use crate::flow::{FlowSpec, Policy, Via};

/// Bytes that fit into a packet of 1,500 bytes, and not into one from which a tunnel takes 50 bytes.
const OVER_TUNNEL_MTU: u16 = 1_450;
/// Bytes that do not fit into an Ethernet frame.
const OVER_MTU: u16 = 2_000;

/// The kind.
pub(super) struct Packet;

impl TrafficKind for Packet {
    fn layer(&self) -> Layer {
        Layer::L3
    }

    fn flows(&self, route: Route, settings: &Settings) -> Vec<Row> {
        let udp = |policy, via, port, rate| Row::new(Kind::Packet, Protocol::Udp, policy, via, port, rate);
        let icmp = |via| Row::new(Kind::Packet, Protocol::Icmp, Policy::NoPolicy, via, 0, settings.low_rate);
        let open = |rate| udp(Policy::NoPolicy, Via::PodIp, UDP_PORT, rate);
        let (rate, low) = (settings.packet_rate, settings.low_rate);
        match route {
            // Behind a Service only the first packet of a socket is translated; the others go as those to the pod do.
            Route::Servers => vec![
                udp(Policy::L4Policy, Via::PodIp, UDP_PORT, rate),
                udp(Policy::L4Policy, Via::ClusterIp, UDP_PORT, rate / 4),
            ],
            Route::OpenServers => vec![icmp(Via::PodIp)],
            Route::OpenServer => vec![
                open(rate),
                Row { bytes: OVER_TUNNEL_MTU, ..open(low) },
                Row { bytes: OVER_MTU, ..open(low) },
            ],
            Route::Calibration => vec![open(rate)],
            Route::FromHost => vec![open(low)],
            Route::ToHost => vec![udp(Policy::NoPolicy, Via::HostIp, CANARY_PORT, low)],
            Route::OverIpv6 => {
                vec![udp(Policy::NoPolicy, Via::PodIpv6, UDP_PORT, rate), icmp(Via::PodIpv6)]
            }
            _ => Vec::new(),
        }
    }

    fn start(&self, flow: FlowSpec, target: SocketAddr, recorder: Recorder) -> Result<OnDue, ClientError> {
        match flow.protocol {
            Protocol::Udp => packet::udp(flow, target, recorder),
            Protocol::Icmp => icmp::start(flow, target, recorder),
            _ => Err(ClientError::unsupported(&flow)),
        }
    }

    fn is_in_order(&self) -> bool {
        true
    }
}
