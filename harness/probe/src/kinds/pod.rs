//! `pod`: new pods, each timed until its first answer. The harness creates them (`deploy/new_pods.rs`).

use std::net::SocketAddr;

use model::{Kind, Layer, Protocol};

use super::TrafficKind;
use super::ports::TCP_PORT;
use super::row::{Route, Row};
use super::settings::Settings;
use crate::client::recorder::Recorder;
use crate::client::{ClientError, OnDue};
use crate::flow::{FlowSpec, Policy, Via};

/// The kind.
pub(super) struct Pod;

impl TrafficKind for Pod {
    fn layer(&self) -> Layer {
        Layer::Control
    }

    fn flows(&self, route: Route, settings: &Settings) -> Vec<Row> {
        if route != Route::NewPods {
            return Vec::new();
        }
        vec![Row {
            period_ns: u64::from(settings.pod_period_ms) * 1_000_000,
            deadline_ms: Some(settings.pod_deadline_ms),
            ..Row::new(Kind::Pod, Protocol::Tcp, Policy::NoPolicy, Via::PodIp, TCP_PORT, 1)
        }]
    }

    fn start(&self, flow: FlowSpec, _: SocketAddr, _: Recorder) -> Result<OnDue, ClientError> {
        Err(ClientError::unsupported(&flow))
    }
}
