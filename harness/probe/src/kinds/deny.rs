//! `deny`: probes that policy must block, each by another rule.

use std::net::SocketAddr;

use model::{Kind, Layer, Protocol};

use super::TrafficKind;
use super::ports::{CLOSED_PORT, L7_PORT, OUTSIDE, OUTSIDE_PORT, UDP_PORT};
use super::row::{Route, Row, STRANGER};
use super::settings::Settings;
use crate::client::recorder::Recorder;
use crate::client::{ClientError, OnDue, fresh, packet, task};
use crate::exchange::PRIVATE_PATH;
use crate::flow::{Expectation, FlowSpec, Policy, Via};

/// The kind.
pub(super) struct Deny;

impl TrafficKind for Deny {
    fn layer(&self) -> Layer {
        Layer::Policy
    }

    fn flows(&self, route: Route, settings: &Settings) -> Vec<Row> {
        let row = |name, protocol, policy, via, port, rate| Row {
            name: Some(name),
            ..Row::new(Kind::Deny, protocol, policy, via, port, rate)
        };
        let pod = |name, protocol, policy, port, rate| row(name, protocol, policy, Via::PodIp, port, rate);
        let (cheap, proxied) = (settings.deny_rate, settings.new_rate);
        match route {
            // A port that no client is granted, a pod that is granted nothing, and a path that no client is granted.
            Route::Servers => vec![
                pod("deny-port", Protocol::Tcp, Policy::L4Policy, CLOSED_PORT, cheap),
                Row {
                    client: Some(STRANGER),
                    ..pod("deny-stranger", Protocol::Udp, Policy::L4Policy, UDP_PORT, cheap)
                },
                Row {
                    http_path: Some(PRIVATE_PATH),
                    ..pod("deny-path", Protocol::Http, Policy::L7Policy, L7_PORT, proxied)
                },
            ],
            Route::Names => vec![Row {
                address: Some(OUTSIDE[1]),
                ..row("deny-outside", Protocol::Tcp, Policy::L4Policy, Via::Outside, OUTSIDE_PORT, proxied)
            }],
            _ => Vec::new(),
        }
    }

    fn start(&self, flow: FlowSpec, target: SocketAddr, recorder: Recorder) -> Result<OnDue, ClientError> {
        match flow.protocol {
            Protocol::Udp => packet::udp(flow, target, recorder),
            Protocol::Tcp | Protocol::Http => {
                Ok(task(|probes| fresh::run(flow, target, probes, recorder, fresh::connection)))
            }
            _ => Err(ClientError::unsupported(&flow)),
        }
    }

    fn expects(&self) -> Expectation {
        Expectation::Blocked
    }
}
