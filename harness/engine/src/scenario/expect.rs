//! The expectations of an arm, checked against the record of its run.

use std::path::Path;

use model::{Change, Direction, Role};
use report::run::{Finding, Outage, Outcome, Run, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

use super::effect::Effect;
use super::heard::Heard;
use super::objects::ObjectFact;
use super::pattern::Pattern;
use super::sums::Sum;
use crate::run::procedure::Procedure;
use crate::steps::{Action, Step};

/// The expectations of an arm. Without findings, the run must pass.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Expected {
    /// The findings: each must occur, and no others but those of `possible`.
    #[serde(default)]
    pub findings: Vec<Pattern>,
    /// Findings that may occur beside `findings`, because chance decides whether they do.
    #[serde(default)]
    pub possible: Vec<Pattern>,
    /// Every matching flow must have such an outage, within the budget or not.
    #[serde(default)]
    pub outages: Vec<Pattern>,
    /// No matching flow may have such an outage.
    #[serde(default)]
    pub clean: Vec<Pattern>,
    /// Observations of objects during the run.
    #[serde(default)]
    pub seen: Vec<Seen>,
    /// Facts about the objects at the points of the run.
    #[serde(default)]
    pub objects: Vec<ObjectFact>,
    /// Policies that must take effect at the right time.
    #[serde(default)]
    pub takes_effect: Vec<Effect>,
    /// Output of steps.
    #[serde(default)]
    pub said: Vec<SaidBy>,
    /// Sums of metrics.
    #[serde(default)]
    pub sums: Vec<Sum>,
    /// Output of commands beside the agents.
    #[serde(default)]
    pub heard: Vec<Heard>,
    /// The step that must fail, which ends the procedure.
    pub stops_at: Option<Stop>,
    /// The guide does not list the transition: it must be refused with this text, before anything is created.
    pub refused: Option<String>,
}

/// A step at which a procedure may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stop {
    /// The pre-flight check.
    Preflight,
    /// The upgrade.
    Upgrade,
    /// The rollback.
    Rollback,
}

impl Stop {
    /// The name in a scenario file.
    fn name(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Upgrade => "upgrade",
            Self::Rollback => "rollback",
        }
    }

    /// Whether the procedure stops at this step.
    pub(super) fn is(self, step: &Step) -> bool {
        let direction = step.hop.as_ref().map(|hop| hop.direction);
        match self {
            Self::Preflight => matches!(step.action, Action::Preflight(_)),
            Self::Upgrade => direction == Some(Direction::Upgrade),
            Self::Rollback => direction == Some(Direction::Rollback),
        }
    }
}

/// An observation of an object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Seen {
    /// Role of the object.
    pub role: Role,
    /// What happened to it.
    pub change: Change,
    /// Text in the detail.
    pub detail: Option<String>,
    /// Whether it must not occur.
    #[serde(default)]
    pub never: bool,
}

/// The output of a step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SaidBy {
    /// Beginning of the step's name.
    pub step: String,
    /// Text in the output of every step of this name.
    pub words: String,
    /// Whether no step may output it.
    #[serde(default)]
    pub never: bool,
}

impl Expected {
    /// The verdict that the run must have.
    fn verdict(&self) -> Verdict {
        if self.findings.is_empty() { Verdict::Passed } else { Verdict::Failed }
    }

    /// Compares what a run of this procedure recorded with the expectations; returns a sentence for each that is not met.
    pub(super) fn judge(&self, run: &Run, procedure: &Procedure, objects: &Path) -> Vec<String> {
        let mut wrong = Vec::new();
        if run.verdict != self.verdict() {
            wrong.push(format!("the verdict is {}, not {}: {}", run.verdict, self.verdict(), run.reason));
        }
        wrong.extend(self.stops(run, procedure));
        wrong.extend(self.found(run));
        for pattern in &self.outages {
            wrong.extend(each_suffers(pattern, run));
        }
        for pattern in &self.clean {
            wrong.extend(none_suffers(pattern, run));
        }
        wrong.extend(self.seen.iter().filter_map(|seen| seen.judge(run)));
        wrong.extend(self.objects.iter().filter_map(|fact| fact.judge(objects)));
        wrong.extend(self.said.iter().filter_map(|said| said.judge(run)));
        wrong.extend(self.sums.iter().flat_map(|sum| sum.judge(run)));
        wrong.extend(self.heard.iter().flat_map(|heard| heard.judge(run, objects)));
        wrong.extend(self.takes_effect.iter().flat_map(|effect| effect.judge(run)));
        wrong
    }

    fn stops(&self, run: &Run, procedure: &Procedure) -> Option<String> {
        let stop = self.stops_at?;
        let Some(failed) = run.steps.iter().find(|step| step.outcome == Outcome::Failed) else {
            return Some(format!("no step failed; the procedure must end at {}", stop.name()));
        };
        let as_expected = procedure.steps.iter().any(|step| step.name == failed.name && stop.is(step));
        (!as_expected).then(|| format!("the procedure ended at `{}` and not at {}", failed.name, stop.name()))
    }

    fn found(&self, run: &Run) -> Vec<String> {
        let fits = |pattern: &Pattern, finding: &Finding| pattern.fits_finding(finding, run);
        let missing = self.findings.iter().filter(|pattern| !run.findings.iter().any(|f| fits(pattern, f)));
        let missing = missing.map(|pattern| format!("not found: {pattern}"));
        let known = || self.findings.iter().chain(&self.possible);
        let others = run.findings.iter().filter(|finding| !known().any(|pattern| fits(pattern, finding)));
        missing.chain(others.map(|finding| format!("found, but not expected: {}", finding.summary))).collect()
    }
}

fn each_suffers(pattern: &Pattern, run: &Run) -> Vec<String> {
    let flows: Vec<_> = run.flows.iter().filter(|flow| pattern.fits_flow(flow)).collect();
    if flows.is_empty() {
        return vec![format!("no flow is {pattern}")];
    }
    let spared = flows.into_iter().filter(|flow| !pattern.suffers(flow, run));
    spared.map(|flow| format!("{} had no outage that is {pattern}", flow.id)).collect()
}

fn none_suffers(pattern: &Pattern, run: &Run) -> Vec<String> {
    let flows: Vec<_> = run.flows.iter().filter(|flow| pattern.fits_flow(flow)).collect();
    if flows.is_empty() {
        return vec![format!("no flow is {pattern}")];
    }
    // An outage that noise explains does not count, here as in the verdict.
    let accused = |outage: &Outage| !outage.noisy && pattern.fits_outage(outage, run);
    let hit = flows.into_iter().filter(|flow| flow.outages.iter().any(accused));
    hit.map(|flow| format!("{} had an outage that is {pattern}", flow.id)).collect()
}

impl Seen {
    fn judge(&self, run: &Run) -> Option<String> {
        let fits = run.observations.iter().any(|observation| {
            let seen = &observation.what;
            let detail = seen.detail.as_deref().unwrap_or_default();
            seen.role == self.role
                && seen.change == self.change
                && self.detail.as_ref().is_none_or(|words| detail.contains(words))
        });
        let what = format!("{} {} {}", self.role, self.change, self.detail.as_deref().unwrap_or_default());
        match (fits, self.never) {
            (false, false) => Some(format!("not observed: {}", what.trim_end())),
            (true, true) => Some(format!("observed, but must not occur: {}", what.trim_end())),
            _ => None,
        }
    }
}

impl SaidBy {
    fn judge(&self, run: &Run) -> Option<String> {
        let Self { step, words, never } = self;
        let mut steps = run.steps.iter().filter(|taken| taken.name.starts_with(step.as_str())).peekable();
        if steps.peek().is_none() {
            return Some(format!("no step is `{step}`"));
        }
        let detail = |taken: &report::run::Step| taken.detail.clone().unwrap_or_default();
        let wrong = steps.find(|taken| detail(taken).contains(words.as_str()) == *never)?;
        let verb = if *never { "has, but must not have," } else { "does not have" };
        Some(format!("`{}` {verb} `{words}` in its output: {}", wrong.name, detail(wrong)))
    }
}

#[cfg(test)]
#[path = "expect_tests.rs"]
mod tests;
