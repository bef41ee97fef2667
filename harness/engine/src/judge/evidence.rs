//! What a run gives to its judge, apart from the samples: plain data.

use model::Impact;
use report::run::{Step, TimedObservation};

use crate::record::RunClock;

/// What the steps of a run contribute to its verdict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The windows of the measurement, in order.
    pub(crate) windows: Vec<Window>,
    /// What steps found, apart from traffic.
    pub(crate) findings: Vec<StepFinding>,
    /// The change that did not end, where the procedure allows that.
    pub(crate) unfinished: Option<UnfinishedChange>,
}

/// Something that a step found in the subject or its chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepFinding {
    /// The name of the hazard in the guide.
    pub(crate) hazard: &'static str,
    /// What it means, and the remedy.
    pub(crate) summary: String,
    /// Objects and values.
    pub(crate) evidence: String,
}

/// A change of the agents that did not end.
#[derive(Clone, Debug)]
pub(crate) struct UnfinishedChange {
    /// The name of the step.
    pub(crate) step: String,
    /// The last state that was seen.
    pub(crate) reason: String,
}

/// A part of the measurement that is judged separately; it ends where the next one starts.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) from_ns: u64,
    /// The transition in it; `None` for the baseline.
    pub(crate) transition: Option<Transition>,
}

/// A transition and its expected impact.
#[derive(Clone, Debug)]
pub(crate) struct Transition {
    pub(crate) name: String,
    pub(crate) l3: Impact,
    pub(crate) l7: Impact,
}

impl Window {
    /// The window without changes.
    pub(crate) fn baseline(from_ns: u64) -> Self {
        Self { from_ns, transition: None }
    }

    /// The window of a change that starts now.
    pub(crate) fn opened(transition: Transition) -> Self {
        Self { from_ns: probe::clock::now_ns(), transition: Some(transition) }
    }
}

/// What the record has of a run.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) clock: RunClock,
    pub(crate) observations: Vec<TimedObservation>,
    pub(crate) steps: Vec<Step>,
}

/// How a procedure ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// All steps were done, or the procedure ended where it may.
    Done,
    /// The user interrupted it.
    Interrupted,
    /// Required traffic is not possible on the place.
    Skipped(String),
    /// A step failed.
    Failed(String),
}
