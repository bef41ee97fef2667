//! `held`: one long-lived connection, over TCP, HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;

use model::{Kind, Layer, Protocol};

use super::TrafficKind;
use super::ports::{HTTP2_PORT, L7_PORT, OUTSIDE_PORT, TCP_PORT};
use super::row::{Route, Row};
use super::settings::Settings;
use crate::client::http2::Http2;
use crate::client::keep_alive::KeepAlive;
use crate::client::recorder::Recorder;
use crate::client::stream::Echo;
use crate::client::{ClientError, OnDue, held, task};
use crate::flow::{FlowSpec, Policy, Via};

/// Bytes that do not fit into an Ethernet frame.
const OVER_MTU: u16 = 2_000;

/// The kind.
pub(super) struct Held;

impl TrafficKind for Held {
    fn layer(&self) -> Layer {
        Layer::L4
    }

    fn flows(&self, route: Route, settings: &Settings) -> Vec<Row> {
        let row = |protocol, policy, via, port, rate| Row::new(Kind::Held, protocol, policy, via, port, rate);
        let open = |protocol, port, rate| row(protocol, Policy::NoPolicy, Via::PodIp, port, rate);
        let (tcp, http) = (settings.held_rate, settings.held_http_rate);
        match route {
            Route::Servers => vec![
                row(Protocol::Tcp, Policy::L4Policy, Via::PodIp, TCP_PORT, tcp),
                row(Protocol::Tcp, Policy::L4Policy, Via::ClusterIp, TCP_PORT, tcp / 2),
                row(Protocol::Http, Policy::L7Policy, Via::PodIp, L7_PORT, http),
                row(Protocol::Http, Policy::L7Policy, Via::ClusterIp, L7_PORT, http / 2),
                row(Protocol::Http2, Policy::L4Policy, Via::PodIp, HTTP2_PORT, settings.held_http2_rate),
            ],
            Route::OpenServer => vec![
                Row { bytes: OVER_MTU, ..open(Protocol::Tcp, TCP_PORT, settings.low_rate) },
                open(Protocol::Tcp, TCP_PORT, tcp),
                open(Protocol::Http2, HTTP2_PORT, settings.low_rate),
            ],
            Route::Calibration => vec![open(Protocol::Tcp, TCP_PORT, tcp)],
            Route::Names => vec![row(Protocol::Tcp, Policy::L4Policy, Via::Outside, OUTSIDE_PORT, tcp)],
            Route::OverIpv6 => vec![row(Protocol::Tcp, Policy::NoPolicy, Via::PodIpv6, TCP_PORT, tcp)],
            _ => Vec::new(),
        }
    }

    fn start(&self, flow: FlowSpec, _: SocketAddr, recorder: Recorder) -> Result<OnDue, ClientError> {
        match flow.protocol {
            Protocol::Tcp => Ok(task(|probes| held::run::<Echo>(flow, probes, recorder))),
            Protocol::Http => Ok(task(|probes| held::run::<KeepAlive>(flow, probes, recorder))),
            Protocol::Http2 => Ok(task(|probes| held::run::<Http2>(flow, probes, recorder))),
            _ => Err(ClientError::unsupported(&flow)),
        }
    }

    fn is_in_order(&self) -> bool {
        true
    }
}
