//! `dns`: queries to the cluster's DNS, over UDP and TCP.

use std::net::SocketAddr;

use model::{Kind, Layer, Protocol};

use super::TrafficKind;
use super::ports::DNS_PORT;
use super::row::{ALL_SERVERS, FIRST_CLIENT, Route, Row};
use super::settings::Settings;
use crate::client::recorder::Recorder;
use crate::client::{ClientError, OnDue, dns, fresh, task};
use crate::flow::{FlowSpec, Policy, Via};

/// The kind.
pub(super) struct Dns;

impl TrafficKind for Dns {
    fn layer(&self) -> Layer {
        Layer::L4
    }

    fn flows(&self, route: Route, settings: &Settings) -> Vec<Row> {
        if route != Route::ClusterDns {
            return Vec::new();
        }
        let row = |protocol, rate| Row {
            query: Some(ALL_SERVERS),
            ..Row::new(Kind::Dns, protocol, Policy::NoPolicy, Via::ClusterIp, DNS_PORT, rate)
        };
        let tcp = Row { client: Some(FIRST_CLIENT), ..row(Protocol::Tcp, settings.dns_tcp_rate) };
        vec![row(Protocol::Udp, settings.dns_rate), tcp]
    }

    fn start(&self, flow: FlowSpec, target: SocketAddr, recorder: Recorder) -> Result<OnDue, ClientError> {
        match flow.protocol {
            Protocol::Udp | Protocol::Tcp if !flow.query.as_ref().is_some_and(dns::can_ask) => {
                Err(ClientError::flow(&flow, "it has no name to query"))
            }
            Protocol::Udp | Protocol::Tcp => {
                Ok(task(|probes| fresh::run(flow, target, probes, recorder, dns::ask)))
            }
            _ => Err(ClientError::unsupported(&flow)),
        }
    }
}
