//! The record of a run: `run.json`, schema `seatrial/run/v1`.
//!
//! All times are milliseconds since the run started, on CLOCK_MONOTONIC.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::Observation;
use crate::units;

/// The schema name written to `run.json`.
pub const SCHEMA: &str = "seatrial/run/v1";

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Run id, also the name of its folder.
    pub id: String,
    /// Version of seatrial that made it.
    pub seatrial: String,
    /// Wall-clock time of the start, RFC 3339, UTC.
    pub started: String,
    /// Length of the whole run, ms.
    pub elapsed_ms: f64,
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence that says why.
    pub reason: String,
    /// Process exit code.
    pub exit_code: u8,
    /// What was upgraded, by name.
    pub subject: String,
    /// Where: provider, Kubernetes version, nodes.
    pub provider: Provider,
    /// The transitions, in order; a rollback is a transition too.
    pub path: Vec<Transition>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How far the machine disturbed the measurement.
    pub noise: Noise,
    /// Fingerprint of how the flows were probed; lengths of runs with another one mean something else. Empty where no
    /// traffic was planned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub probing: String,
    /// Every probed flow.
    pub flows: Vec<Flow>,
    /// What was seen in the cluster, in order of time.
    pub observations: Vec<TimedObservation>,
    /// What the subject did wrong.
    pub findings: Vec<Finding>,
    /// What each flow was allowed to lose.
    pub budgets: Vec<Budget>,
}

impl Run {
    /// The versions in the order of the path, such as `1.5.13 → 1.6.12 → 1.5.13`.
    pub fn versions(&self) -> String {
        let first = self.path.first().map(|hop| hop.from.as_str());
        let all: Vec<&str> = first.into_iter().chain(self.path.iter().map(|hop| hop.to.as_str())).collect();
        all.join(" → ")
    }
}

/// How a run is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every flow stayed inside its budget.
    Passed,
    /// The subject misbehaved: there are findings.
    Failed,
    /// The harness, the cluster or the environment failed.
    Errored,
    /// Nothing ran, or a required part was skipped.
    Skipped,
    /// The machine was too noisy to tell.
    Noisy,
    /// The user stopped it.
    Interrupted,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Skipped => "skipped",
            Self::Noisy => "noisy",
            Self::Interrupted => "interrupted",
        })
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Left out on purpose.
    Skipped,
    /// Cut short by the user.
    Interrupted,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        })
    }
}

/// The cluster of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    /// `sandbox`, `kind` or `existing`.
    pub name: String,
    /// Kubernetes version, such as `v1.34.4`.
    pub kubernetes: String,
    /// Node names.
    pub nodes: Vec<String>,
    /// Time from nothing until the last node had registered, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_ms: Option<f64>,
    /// Peak memory of everything in the cluster, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Further facts: kernel, CPU, container runtime.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

/// One hop of the path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Version before.
    pub from: String,
    /// Version after.
    pub to: String,
    /// `upgrade` or `rollback`.
    pub direction: String,
    /// The guide's words for the L3 impact.
    pub l3_impact: String,
    /// The guide's words for the L7 impact.
    pub l7_impact: String,
}

/// A named stretch of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name.
    pub name: String,
    /// Start, ms.
    pub started_ms: f64,
    /// End, ms.
    pub ended_ms: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed, or what it produced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The noise of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// True when the canary lost nothing while probes ran.
    pub canary_clean: bool,
    /// Canary probes lost.
    pub canary_lost: u64,
    /// How late probes were sent after their due time, 50th percentile, µs.
    pub lateness_p50_us: f64,
    /// The same, 99th percentile, µs.
    pub lateness_p99_us: f64,
    /// The worst, µs.
    pub lateness_max_us: f64,
    /// What the host took from the processors of the node that lost most, all of them together, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen_ms: Option<f64>,
    /// The part of the time in which some task waited for a processor, 0 to 1, on the node where that was most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_pressure: Option<f64>,
}

/// The layer at which a flow is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Layer {
    /// Packets: UDP, ICMP.
    L3,
    /// Connections: TCP.
    L4,
    /// Requests through a proxy.
    L7,
    /// Traffic that must not pass.
    #[serde(rename = "policy")]
    Policy,
    /// What the cluster does to its pods: a new one gets its network.
    #[serde(rename = "control")]
    Control,
    /// The harness's own control traffic, not crossing the subject.
    #[serde(rename = "canary")]
    Canary,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L3 => "L3",
            Self::L4 => "L4",
            Self::L7 => "L7",
            Self::Policy => "policy",
            Self::Control => "control",
            Self::Canary => "canary",
        })
    }
}

/// One probed flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Id, such as `held-http/cross-node/pod-ip`.
    pub id: String,
    /// Kind: `packet`, `held`, `new`, `deny`, `dns`, `pod`, `canary`.
    pub kind: String,
    /// Protocol: `udp`, `tcp`, `http`, `icmp`.
    pub protocol: String,
    /// Path, such as `cross-node, ClusterIP, L7 policy`.
    pub path: String,
    /// Layer.
    pub layer: Layer,
    /// Client, such as `client-1 on node1`.
    pub client: String,
    /// Server, such as `server-2 on node2`.
    pub server: String,
    /// Node of the client; for a client outside of the cluster, the node that it asks.
    pub client_node: String,
    /// Node of the server; `outside` for one outside of the cluster.
    pub server_node: String,
    /// Period, ms.
    pub period_ms: f64,
    /// When its first and last probe were due, ms.
    pub window_ms: (f64, f64),
    /// Probes planned.
    pub planned: u64,
    /// Probes sent.
    pub sent: u64,
    /// Probes answered as expected (for `deny`: answered at all).
    pub answered: u64,
    /// Probes that failed (for `deny`: blocked, as they must be).
    pub lost: u64,
    /// Probes by class: `answered`, `slow`, `lost`, `reset`, `refused`, `unreachable`, `http-403`, …
    pub classes: BTreeMap<String, u64>,
    /// Latency of answered probes from their due time, ms: 50th, 99th percentile, maximum.
    pub latency_ms: Option<[f64; 3]>,
    /// Outages; for `deny` flows, the holes.
    pub outages: Vec<Outage>,
}

impl Flow {
    /// Whether this flow must not pass, so that an answer is what went wrong.
    pub fn is_deny(&self) -> bool {
        self.layer == Layer::Policy
    }

    /// Probes that went wrong: lost ones, or answered ones where nothing may pass.
    pub fn bad(&self) -> u64 {
        if self.is_deny() { self.answered } else { self.lost }
    }

    /// Whether probes were sent and none went wrong.
    pub fn is_clean(&self) -> bool {
        self.sent > 0 && self.bad() == 0 && self.outages.is_empty()
    }

    /// The longest outage; one that never ended is longer than any other.
    pub fn worst(&self) -> Option<&Outage> {
        self.outages.iter().max_by(|a, b| a.upper_bound().total_cmp(&b.upper_bound()))
    }

    /// The class of an outage as people read it: `hole` where nothing may pass.
    pub fn class_of<'a>(&self, outage: &'a Outage) -> &'a str {
        if self.is_deny() { "hole" } else { &outage.class }
    }
}

/// An interval in which a flow did not behave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// Class of its first bad sample.
    pub class: String,
    /// Bad samples.
    pub samples: u64,
    /// At least this long: first bad to last bad, ms.
    pub min_ms: f64,
    /// At most this long: last good to next good, ms; absent while no good sample followed.
    pub max_ms: Option<f64>,
    /// Last good sample before, ms since the start of the run.
    pub last_good_ms: Option<f64>,
    /// First bad sample.
    pub first_bad_ms: f64,
    /// Last bad sample.
    pub last_bad_ms: f64,
    /// First good sample after.
    pub first_good_ms: Option<f64>,
    /// Connections of the flow that were cut in it (held flows).
    pub connections_cut: u64,
    /// The step in which it began.
    pub step: Option<String>,
    /// Its cause, as far as the evidence goes.
    pub attribution: Option<Attribution>,
    /// The machine was noisy all through it: it says nothing about the subject.
    #[serde(default)]
    pub noisy: bool,
}

impl Outage {
    /// Its length as a bracket, such as `1.37–1.38 s`.
    pub fn length(&self) -> String {
        units::range(self.min_ms, self.max_ms)
    }

    /// Its cause in a few words, such as `agent terminated on node1`.
    pub fn cause(&self) -> String {
        match &self.attribution {
            None => "not attributed".to_owned(),
            Some(Attribution { event, node: Some(node), .. }) => format!("{event} on {node}"),
            Some(Attribution { event, node: None, .. }) => event.clone(),
        }
    }

    pub(crate) fn upper_bound(&self) -> f64 {
        self.max_ms.unwrap_or(f64::INFINITY)
    }
}

/// What an outage is put down to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// The event, such as `agent terminated`.
    pub event: String,
    /// Node on which it happened.
    pub node: Option<String>,
    /// `high`, `medium` or `low`.
    pub confidence: String,
    /// A sentence with the times that support it.
    pub evidence: String,
}

/// An observation with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimedObservation {
    /// Milliseconds since the run started.
    pub at_ms: f64,
    /// What was seen.
    #[serde(flatten)]
    pub what: Observation,
}

/// Something that the subject did wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Id within the run, such as `F1`.
    pub id: String,
    /// The hazard of the guide it belongs to, where one is known.
    pub hazard: Option<String>,
    /// The flow that showed it.
    pub flow: Option<String>,
    /// One sentence.
    pub summary: String,
    /// Times and objects.
    pub evidence: String,
    /// A command that shows it again.
    pub reproduce: String,
}

/// What the flows of one layer may lose, and what they lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// What it applies to, such as `L3, upgrade 1.5 -> 1.6`.
    pub name: String,
    /// The guide's words.
    pub words: String,
    /// The numbers chosen for them, in words.
    pub rule: String,
    /// What was measured against it.
    pub measured: String,
    /// Whether it was kept; absent when it is reported but not judged.
    pub kept: Option<bool>,
}
