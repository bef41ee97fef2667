//! `new`: a new connection for each probe, over TCP and HTTP/1.1.

use std::net::SocketAddr;

use model::{Kind, Layer, Protocol};

use super::TrafficKind;
use super::ports::{HOST_PORT, HTTP_PORT, L7_PORT, OUTSIDE_PORT, TCP_PORT};
use super::row::{Route, Row};
use super::settings::Settings;
use crate::client::recorder::Recorder;
use crate::client::{ClientError, OnDue, fresh, task};
use crate::flow::{FlowSpec, Policy, Via};

/// The kind.
pub(super) struct New;

impl TrafficKind for New {
    fn layer(&self) -> Layer {
        Layer::L4
    }

    fn flows(&self, route: Route, settings: &Settings) -> Vec<Row> {
        let row = |protocol, policy, via, port, rate| Row::new(Kind::New, protocol, policy, via, port, rate);
        let tcp = |policy, via, port, rate| row(Protocol::Tcp, policy, via, port, rate);
        let (rate, low) = (settings.new_rate, settings.low_rate);
        match route {
            Route::Servers => vec![
                tcp(Policy::L4Policy, Via::ClusterIp, TCP_PORT, rate),
                row(Protocol::Http, Policy::L4Policy, Via::PodIp, HTTP_PORT, rate),
                row(Protocol::Http, Policy::L7Policy, Via::PodIp, L7_PORT, rate),
            ],
            Route::AllServers => vec![tcp(Policy::L4Policy, Via::ClusterIp, TCP_PORT, low)],
            Route::OpenServer => vec![tcp(Policy::NoPolicy, Via::PodIp, TCP_PORT, rate)],
            Route::FromHost => vec![tcp(Policy::NoPolicy, Via::PodIp, TCP_PORT, low)],
            Route::ToHost => vec![tcp(Policy::NoPolicy, Via::HostIp, HOST_PORT, low)],
            Route::FromOutside => vec![tcp(Policy::NoPolicy, Via::NodePort, TCP_PORT, rate)],
            Route::ToOutside => vec![tcp(Policy::NoPolicy, Via::Outside, OUTSIDE_PORT, rate)],
            Route::Names => vec![tcp(Policy::L4Policy, Via::Outside, OUTSIDE_PORT, rate)],
            Route::OverIpv6 => vec![tcp(Policy::NoPolicy, Via::PodIpv6, TCP_PORT, rate)],
            _ => Vec::new(),
        }
    }

    fn start(&self, flow: FlowSpec, target: SocketAddr, recorder: Recorder) -> Result<OnDue, ClientError> {
        match flow.protocol {
            Protocol::Tcp | Protocol::Http => {
                Ok(task(|probes| fresh::run(flow, target, probes, recorder, fresh::connection)))
            }
            _ => Err(ClientError::unsupported(&flow)),
        }
    }
}
