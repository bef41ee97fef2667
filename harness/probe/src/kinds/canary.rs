//! `canary`: the harness's control traffic between hosts. What it loses is the machine's fault.

use std::net::SocketAddr;

use model::{Kind, Layer, Protocol};

use super::TrafficKind;
use super::ports::CANARY_PORT;
use super::row::{Route, Row};
use super::settings::Settings;
use crate::client::recorder::Recorder;
use crate::client::{ClientError, OnDue, packet};
use crate::flow::{FlowSpec, Policy, Via};

/// The kind.
pub(super) struct Canary;

impl TrafficKind for Canary {
    fn layer(&self) -> Layer {
        Layer::Canary
    }

    fn flows(&self, route: Route, settings: &Settings) -> Vec<Row> {
        let rate = settings.canary_rate;
        let row = || Row::new(Kind::Canary, Protocol::Udp, Policy::NoPolicy, Via::HostIp, CANARY_PORT, rate);
        if route == Route::BetweenHosts { vec![row()] } else { Vec::new() }
    }

    fn start(&self, flow: FlowSpec, target: SocketAddr, recorder: Recorder) -> Result<OnDue, ClientError> {
        match flow.protocol {
            Protocol::Udp => packet::udp(flow, target, recorder),
            _ => Err(ClientError::unsupported(&flow)),
        }
    }

    fn is_in_order(&self) -> bool {
        true
    }
}
