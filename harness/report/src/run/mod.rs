//! The record of a run: `run.json`, schema `seatrial/run/v1`.
//!
//! All times are milliseconds since the run started, on CLOCK_MONOTONIC.

mod flow;
mod impact;
mod incident;
mod texts;
mod verdict;

use std::collections::BTreeMap;

use model::{Direction, Impact};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observation::Observation;
pub use flow::{Attribution, Flow, Outage};
pub use incident::Incident;
pub use verdict::{Outcome, Verdict};

/// The schema name written to `run.json`.
pub const SCHEMA: &str = "seatrial/run/v1";

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Always `seatrial/run/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Run id, also the name of the run folder.
    pub id: String,
    /// A name that stays the same from run to run, such as `kvstore-keys/skipped`; none for a run that is no trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version of seatrial that wrote the record.
    pub seatrial: String,
    /// Wall-clock time of the start, RFC 3339, UTC.
    pub started: String,
    /// Duration of the whole run, ms.
    pub elapsed_ms: f64,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason for the verdict, one sentence.
    pub reason: String,
    /// Process exit code.
    pub exit_code: u8,
    /// Name of the subject, the component that was upgraded.
    pub subject: String,
    /// The cluster.
    pub provider: Provider,
    /// The transitions, in order; a rollback is a transition too.
    pub path: Vec<Transition>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How much the machine disturbed the measurement.
    pub noise: Noise,
    /// Fingerprint of how the flows were probed; durations of runs with different fingerprints cannot be compared. Empty
    /// where no traffic was planned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub probing: String,
    /// Every probed flow.
    pub flows: Vec<Flow>,
    /// Changes of objects in the cluster, in order of time.
    pub observations: Vec<TimedObservation>,
    /// Faults of the subject.
    pub findings: Vec<Finding>,
    /// Outages that belong together, in order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    /// What the flows were allowed to lose, and what they lost.
    pub budgets: Vec<Budget>,
}

impl Run {
    /// The versions in the order of the path, such as `1.5.13 → 1.6.12 → 1.5.13`.
    pub fn versions(&self) -> String {
        let first = self.path.first().map(|hop| hop.from.as_str());
        let all: Vec<&str> = first.into_iter().chain(self.path.iter().map(|hop| hop.to.as_str())).collect();
        all.join(" → ")
    }

    /// The run with every text on one line and without control characters, so that a record from elsewhere can be
    /// written to a terminal.
    #[must_use]
    pub fn printable(&self) -> Self {
        let mut run = self.clone();
        run.visit_texts(&mut crate::printable::clean);
        run
    }
}

/// The cluster of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provider {
    /// Name of the provider, such as `sandbox`, `kind` or `existing`.
    pub name: String,
    /// Kubernetes version, such as `v1.34.4`.
    pub kubernetes: String,
    /// Node names.
    pub nodes: Vec<String>,
    /// Time until the last node had registered, ms, without the time to build components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_ms: Option<f64>,
    /// Time to build the components of the cluster that were not cached, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_ms: Option<f64>,
    /// Peak memory of the whole cluster, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Further facts: kernel, CPU, container runtime.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

/// One hop of the path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// Version before.
    pub from: String,
    /// Version after.
    pub to: String,
    /// How the version changes.
    pub direction: Direction,
    /// The L3 impact, in the guide's wording.
    #[serde(with = "impact")]
    #[schemars(with = "impact::Wording")]
    pub l3_impact: Impact,
    /// The L7 impact, in the guide's wording.
    #[serde(with = "impact")]
    #[schemars(with = "impact::Wording")]
    pub l7_impact: Impact,
}

/// A named part of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Name, such as `upgrade 1.5.13 -> 1.6.12`.
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

/// How much the machine disturbed the measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Noise {
    /// True when no canary probe was lost while probes ran.
    pub canary_clean: bool,
    /// Canary probes lost.
    pub canary_lost: u64,
    /// How late probes were sent after their due time, 50th percentile, µs.
    pub lateness_p50_us: f64,
    /// The same, 99th percentile, µs.
    pub lateness_p99_us: f64,
    /// The same, maximum, µs.
    pub lateness_max_us: f64,
    /// CPU time stolen by the host on the node that lost most, all processors together, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen_ms: Option<f64>,
    /// Share of the time in which a task waited for a processor, 0 to 1, on the node with most pressure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_pressure: Option<f64>,
}

/// An observation with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimedObservation {
    /// Milliseconds since the run started.
    pub at_ms: f64,
    /// What was observed.
    #[serde(flatten)]
    pub what: Observation,
}

/// A fault of the subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Id within the run, such as `F1`.
    pub id: String,
    /// The hazard of the guide that it belongs to, where one is known.
    pub hazard: Option<String>,
    /// The flow that showed it.
    pub flow: Option<String>,
    /// One sentence.
    pub summary: String,
    /// Times and objects.
    pub evidence: String,
    /// A command that reproduces it.
    pub reproduce: String,
}

/// What the flows of one layer may lose, and what they lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// What it applies to, such as `L3, upgrade 1.5.13 -> 1.6.12`.
    pub name: String,
    /// The impact in the guide's wording; empty where the guide makes no statement.
    pub words: String,
    /// The limits chosen for that impact.
    pub rule: String,
    /// What was measured.
    pub measured: String,
    /// Whether the limits were met; none when the budget is reported but not judged.
    pub kept: Option<bool>,
}
