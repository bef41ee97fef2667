//! What happens in a run, as data, in the order in which it happened.

use serde::{Deserialize, Serialize};

use crate::run::{Outcome, Verdict};

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the run started (CLOCK_MONOTONIC).
    pub at_ms: f64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The run began; its folder exists.
    RunStarted {
        /// Run id.
        id: String,
        /// The command line, secrets left out.
        command: Vec<String>,
        /// The run folder.
        folder: String,
    },
    /// A step of the run began.
    StepStarted {
        /// Step name, such as `upgrade 1.5.13 -> 1.6.12`.
        step: String,
    },
    /// A step has something to tell while it goes on.
    Progress {
        /// The step that is going on.
        step: String,
        /// A lower-case fragment, such as `node2: containerd is up`.
        message: String,
    },
    /// A step ended.
    StepEnded {
        /// Step name, as in `StepStarted`.
        step: String,
        /// How it ended.
        outcome: Outcome,
        /// Why it failed or was skipped, or what it produced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// Something was seen to happen in the cluster.
    Observed(Observation),
    /// The run ended; `run.json` is complete.
    RunEnded {
        /// The verdict.
        verdict: Verdict,
        /// The process exit code that goes with it.
        exit_code: u8,
    },
}

/// Something that happened to an object in the cluster, joined to outages by node and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Node name; absent for what belongs to the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Role of the object: `agent`, `operator`, `preflight`, `probe`, `config`, `policy`, `service`, `endpoints`,
    /// `node`, `conntrack`, `link`, `identity`, `harness`.
    pub role: String,
    /// Object, such as `pod kube-system/agent-x7x2p`.
    pub object: String,
    /// What happened: `deleted`, `terminated`, `created`, `started`, `ready`, `not-ready`, `written`, `removed`.
    pub change: String,
    /// Anything that helps a reader: image, exit code, key names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
