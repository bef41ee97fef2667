//! Flows and their outages.

use std::collections::BTreeMap;

use model::{Confidence, Kind, Layer, Protocol};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// One probed flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// Id, such as `held-http/cross-node/pod-ip/l7-policy`.
    pub id: String,
    /// Kind of traffic.
    pub kind: Kind,
    /// Protocol of the probes.
    pub protocol: Protocol,
    /// Path in words, such as `cross-node, ClusterIP, L7 policy`.
    pub path: String,
    /// Layer at which it is judged.
    pub layer: Layer,
    /// Client, such as `client-1 on node1`.
    pub client: String,
    /// Server, such as `server-2 on node2`.
    pub server: String,
    /// Node of the client; for a client outside of the cluster, the node that it sends to.
    pub client_node: String,
    /// Node of the server; `outside` for a server outside of the cluster.
    pub server_node: String,
    /// Time between two probes, ms.
    pub period_ms: f64,
    /// When the first and the last probe were due, ms since the start of the run.
    pub window_ms: (f64, f64),
    /// Probes planned.
    pub planned: u64,
    /// Probes sent.
    pub sent: u64,
    /// Probes answered as expected; for `deny` flows, probes answered at all.
    pub answered: u64,
    /// Probes that failed; for `deny` flows, probes blocked as required.
    pub lost: u64,
    /// Number of probes by class: `answered`, `slow`, `lost`, `reset`, `refused`, `unreachable`, `http-403`, …
    pub classes: BTreeMap<String, u64>,
    /// Latency of answered probes from their due time, ms: 50th percentile, 99th percentile, maximum.
    pub latency_ms: Option<[f64; 3]>,
    /// Outages; for `deny` flows, the intervals in which denied traffic was answered.
    pub outages: Vec<Outage>,
}

impl Flow {
    /// Whether policy must block this flow, so that an answer is a fault.
    pub fn is_deny(&self) -> bool {
        self.layer == Layer::Policy
    }

    /// Probes with the wrong result: lost ones, or answered ones of a `deny` flow.
    pub fn bad(&self) -> u64 {
        if self.is_deny() { self.answered } else { self.lost }
    }

    /// Whether probes were sent and all had the right result.
    pub fn is_clean(&self) -> bool {
        self.sent > 0 && self.bad() == 0 && self.outages.is_empty()
    }

    /// The longest outage; one that never ended is longer than any other.
    pub fn worst(&self) -> Option<&Outage> {
        self.outages.iter().max_by(|a, b| a.upper_bound().total_cmp(&b.upper_bound()))
    }

    /// The class of an outage as reports show it: `leak` where policy must block the traffic.
    pub fn class_of<'a>(&self, outage: &'a Outage) -> &'a str {
        if self.is_deny() { "leak" } else { &outage.class }
    }
}

/// An interval in which a flow misbehaved. Its duration is known by bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// Class of the first bad sample.
    pub class: String,
    /// Number of bad samples.
    pub samples: u64,
    /// Lower bound of the duration, ms: from the first to the last bad sample.
    pub min_ms: f64,
    /// Upper bound of the duration, ms: from the last good sample before to the first good sample after; none while no
    /// good sample followed.
    pub max_ms: Option<f64>,
    /// Last good sample before, ms since the start of the run.
    pub last_good_ms: Option<f64>,
    /// First bad sample, ms since the start of the run.
    pub first_bad_ms: f64,
    /// Last bad sample, ms since the start of the run.
    pub last_bad_ms: f64,
    /// First good sample after, ms since the start of the run.
    pub first_good_ms: Option<f64>,
    /// Connections of the flow that were cut in it (held flows).
    pub connections_cut: u64,
    /// The step in which it began.
    pub step: Option<String>,
    /// Its cause, as far as the evidence goes.
    pub attribution: Option<Attribution>,
    /// True when the machine was too noisy all through it to blame the subject.
    #[serde(default)]
    pub noisy: bool,
}

impl Outage {
    /// The bounds of its duration, such as `1.37–1.38 s`.
    pub fn duration(&self) -> String {
        units::range(self.min_ms, self.max_ms)
    }

    /// Its cause in short, such as `agent terminated on node1`.
    pub fn cause(&self) -> String {
        match &self.attribution {
            None => "no known cause".to_owned(),
            Some(Attribution { event, node: Some(node), .. }) => format!("{event} on {node}"),
            Some(Attribution { event, node: None, .. }) => event.clone(),
        }
    }

    pub(crate) fn upper_bound(&self) -> f64 {
        self.max_ms.unwrap_or(f64::INFINITY)
    }
}

/// The event that caused an outage, as far as the evidence goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attribution {
    /// The event, such as `agent terminated`.
    pub event: String,
    /// Node on which it happened.
    pub node: Option<String>,
    /// How sure the attribution is.
    pub confidence: Confidence,
    /// A sentence with the times that support it.
    pub evidence: String,
}
