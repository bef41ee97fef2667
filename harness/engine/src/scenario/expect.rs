//! The expectations of an arm, checked against the record of its run.

use std::fmt;
use std::path::Path;

use model::{Direction, Layer};
use report::run::{Finding, Flow, Outage, Outcome, Run, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

use super::effect::Effect;
use super::heard::Heard;
use super::objects::ObjectFact;
use super::sums::Sum;
use crate::run::procedure::Procedure;
use crate::steps::{Action, Step};

/// The expectations of an arm. Without findings, the run must pass.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Expected {
    /// The findings: each must occur, and no others.
    #[serde(default)]
    pub findings: Vec<Pattern>,
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

/// A selection of flows and their outages; an omitted field matches all.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Pattern {
    /// Layer: L3, L4, L7 or policy.
    #[schemars(with = "Option<String>")]
    pub layer: Option<Layer>,
    /// Kind: packet, held, new, deny, …
    pub kind: Option<String>,
    /// Protocol: udp, tcp, http, …
    pub protocol: Option<String>,
    /// Nodes of the two ends.
    pub place: Option<Place>,
    /// Class of the outage: lost, reset, refused, …
    pub class: Option<String>,
    /// Beginning of the event to which the outage is attributed, such as `agent`.
    pub cause: Option<String>,
    /// Beginning of the name of the step in which the outage began, or of the transition of a finding.
    pub during: Option<String>,
    /// Beginning of the name of the step that ended the outage: it recovered after the step started, and not before.
    pub until: Option<String>,
    /// Text in a finding.
    pub says: Option<String>,
    /// Part of the flow's id, such as `cluster-ip`.
    pub flow: Option<String>,
}

/// Nodes of the ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Place {
    /// The same node.
    SameNode,
    /// Two nodes.
    CrossNode,
}

/// An observation of an object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Seen {
    /// Role of the object: agent, operator, config, …
    pub role: String,
    /// Change: deleted, started, ready, cannot-start, written, …
    pub change: String,
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
        let others = run.findings.iter().filter(|finding| !self.findings.iter().any(|p| fits(p, finding)));
        missing.chain(others.map(|finding| format!("found, but not expected: {}", finding.summary))).collect()
    }
}

impl Pattern {
    fn fits_finding(&self, finding: &Finding, run: &Run) -> bool {
        let words = format!("{}\n{}", finding.summary, finding.evidence);
        let says = self.says.as_ref().is_none_or(|says| words.contains(says));
        let during = self.during.as_ref().is_none_or(|during| words.contains(during));
        let flow = match run.flows.iter().find(|flow| finding.flow.as_ref() == Some(&flow.id)) {
            None => !self.needs_flow(),
            Some(flow) => {
                self.fits_flow(flow)
                    && (flow.outages.is_empty() || flow.outages.iter().any(|o| self.fits_cause(o)))
            }
        };
        says && during && flow
    }

    fn needs_flow(&self) -> bool {
        self.layer.is_some()
            || self.place.is_some()
            || [&self.kind, &self.protocol, &self.class, &self.cause, &self.flow]
                .into_iter()
                .any(Option::is_some)
    }

    pub(super) fn fits_flow(&self, flow: &Flow) -> bool {
        let place = if flow.client_node == flow.server_node { Place::SameNode } else { Place::CrossNode };
        flow.layer != Layer::Canary
            && self.layer.is_none_or(|layer| layer == flow.layer)
            && self.place.is_none_or(|wanted| wanted == place)
            && self.kind.as_ref().is_none_or(|kind| *kind == flow.kind.as_str())
            && self.flow.as_ref().is_none_or(|part| flow.id.contains(part.as_str()))
            && self.protocol.as_ref().is_none_or(|protocol| *protocol == flow.protocol.as_str())
    }

    fn fits_cause(&self, outage: &Outage) -> bool {
        let event = outage.attribution.as_ref().map_or("", |attribution| &attribution.event);
        self.class.as_ref().is_none_or(|class| *class == outage.class)
            && self.cause.as_ref().is_none_or(|cause| event.starts_with(cause.as_str()))
    }

    fn fits_outage(&self, outage: &Outage, run: &Run) -> bool {
        let step = outage.step.as_deref().unwrap_or_default();
        self.fits_cause(outage)
            && self.during.as_ref().is_none_or(|during| step.starts_with(during.as_str()))
            && self.until.as_ref().is_none_or(|until| ended_by(until, outage, run))
    }

    fn suffers(&self, flow: &Flow, run: &Run) -> bool {
        flow.outages.iter().any(|outage| self.fits_outage(outage, run))
    }
}

/// A probe that was sent shortly before the step may be answered because of it: TCP retransmits.
fn ended_by(step: &str, outage: &Outage, run: &Run) -> bool {
    let step = run.steps.iter().find(|taken| taken.name.starts_with(step));
    let answered_ms = outage.last_good_ms.zip(outage.max_ms).map(|(good_ms, max_ms)| good_ms + max_ms);
    let good_ms = answered_ms.or(outage.first_good_ms);
    step.zip(good_ms).is_some_and(|(step, good_ms)| good_ms >= step.started_ms)
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
            seen.role.as_str() == self.role
                && seen.change.as_str() == self.change
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

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.map(|place| match place {
            Place::SameNode => "same-node".to_owned(),
            Place::CrossNode => "cross-node".to_owned(),
        });
        let named =
            |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} `{value}`"));
        let parts = [
            self.layer.map(|layer| layer.to_string()),
            self.kind.clone(),
            self.protocol.clone(),
            place,
            self.class.clone(),
            named("because of", &self.cause),
            named("during", &self.during),
            named("until", &self.until),
            named("saying", &self.says),
            named("in flow", &self.flow),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "anything" } else { "" })?;
        f.write_str(&parts.join(" "))
    }
}

#[cfg(test)]
#[path = "expect_tests.rs"]
mod tests;
