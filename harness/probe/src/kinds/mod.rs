//! The kinds of traffic, one file each.
//!
//! A kind plans its flows on the routes between the probe pods, and probes a flow once it is planned. Everything else
//! follows from its rows: the ports that servers listen on, and what policies must grant.

mod canary;
mod deny;
mod dns;
mod held;
mod new;
mod packet;
mod pod;
pub(crate) mod ports;
pub(crate) mod row;
mod settings;

use std::net::SocketAddr;

use model::{Kind, Layer};

pub use settings::Settings;

use crate::client::recorder::Recorder;
use crate::client::{ClientError, OnDue};
use crate::flow::{Expectation, FlowSpec};
use row::{Route, Row};

/// A kind of traffic.
pub(crate) trait TrafficKind {
    /// Returns the layer at which its flows are judged when they cross no L7 policy.
    fn layer(&self) -> Layer;

    /// Returns the flows that it has on a route.
    fn flows(&self, route: Route, settings: &Settings) -> Vec<Row>;

    /// Starts to probe a flow; the result is called with every probe that falls due.
    ///
    /// # Errors
    ///
    /// When the flow cannot be probed as described, or a socket cannot be opened.
    fn start(&self, flow: FlowSpec, target: SocketAddr, recorder: Recorder) -> Result<OnDue, ClientError>;

    /// Returns the expected result of its probes.
    fn expects(&self) -> Expectation {
        Expectation::Answered
    }

    /// Returns whether its probes share a socket or a connection, so that none overtakes another.
    fn is_in_order(&self) -> bool {
        false
    }
}

/// Returns the implementation of a kind.
pub(crate) fn of(kind: Kind) -> &'static dyn TrafficKind {
    match kind {
        Kind::Packet => &packet::Packet,
        Kind::Held => &held::Held,
        Kind::New => &new::New,
        Kind::Deny => &deny::Deny,
        Kind::Dns => &dns::Dns,
        Kind::Pod => &pod::Pod,
        Kind::Canary => &canary::Canary,
    }
}

/// Returns the flows of all kinds on a route.
pub(crate) fn rows(route: Route, settings: &Settings) -> Vec<Row> {
    Kind::ALL.iter().flat_map(|kind| of(*kind).flows(route, settings)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_flows_of_its_own_kind_only() {
        for kind in Kind::ALL {
            let rows: Vec<_> = Route::ALL
                .into_iter()
                .flat_map(|route| of(*kind).flows(route, &Settings::default()))
                .collect();
            assert!(!rows.is_empty() && rows.iter().all(|row| row.kind == *kind), "{kind}: {rows:#?}");
        }
    }
}
