//! What happens in a run, as data, in order of time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::observation::Observation;
use crate::run::{Outcome, Verdict};

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Milliseconds since the run started (CLOCK_MONOTONIC).
    pub at_ms: f64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The run began; its folder exists.
    RunStarted {
        /// Run id.
        id: String,
        /// The command line, with secrets redacted.
        command: Vec<String>,
        /// The run folder.
        folder: String,
    },
    /// A step of the run began.
    StepStarted {
        /// Step name, such as `upgrade 1.5.13 -> 1.6.12`.
        step: String,
    },
    /// A step reports progress.
    Progress {
        /// The step in progress.
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
        /// Why it failed, or what it produced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// An object in the cluster changed.
    Observed(Observation),
    /// The run ended; `run.json` is complete.
    RunEnded {
        /// The verdict.
        verdict: Verdict,
        /// The process exit code.
        exit_code: u8,
    },
}
