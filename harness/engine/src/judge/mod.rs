//! From measurements to a verdict. The judge takes and returns plain data.

mod baseline;
mod evidence;
mod flows;
mod host;
mod row;

use std::collections::BTreeMap;

use model::{Change, Layer, Role};
use probe::attribution::{Observed, Rules};
use probe::budget::{Budgets, Impacts, Restart};
use probe::deploy::Delivered;
use probe::noise::Noise;
use probe::processors::{Look, Shortage};
use probe::sample::FlowSamples;
use probe::summary::Summary;
use report::run::{self, Budget, Finding, Flow, Run, TimedObservation, Verdict};

use baseline::Baseline;
pub(crate) use evidence::{End, Evidence, Recorded, StepFinding, Transition, UnfinishedChange, Window};
use row::Row;

use crate::errors;
use crate::record::RunClock;

/// What a run is judged by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Criteria {
    /// What flows may lose, in place of the standard budgets.
    pub(crate) budgets: Option<Budgets>,
    /// The command that runs it again, for findings.
    pub(crate) reproduce: String,
}

/// The result of a run, and why.
#[derive(Debug)]
pub(crate) struct Judged {
    verdict: Verdict,
    reason: String,
    noise: run::Noise,
    flows: Vec<Flow>,
    findings: Vec<Finding>,
    budgets: Vec<Budget>,
}

impl Judged {
    /// Writes it into the record.
    pub(crate) fn write_to(self, run: &mut Run) {
        run.verdict = self.verdict;
        run.reason = self.reason;
        run.noise = self.noise;
        run.flows = self.flows;
        run.findings = self.findings;
        run.budgets = self.budgets;
    }
}

/// All that was measured.
pub(crate) struct Measured {
    pub(crate) flows: Vec<FlowSamples>,
    /// Why some of it is missing.
    pub(crate) failure: Option<anyhow::Error>,
    pub(crate) processors: Vec<Look>,
    pub(crate) until_ns: u64,
}

impl Measured {
    /// What the probers delivered until now.
    pub(crate) fn new(delivered: anyhow::Result<Delivered>) -> Self {
        let until_ns = probe::clock::now_ns();
        match delivered {
            Ok(Delivered { flows, failure, processors }) => {
                Self { flows, failure: failure.map(Into::into), processors, until_ns }
            }
            Err(failure) => {
                Self { flows: Vec::new(), failure: Some(failure), processors: Vec::new(), until_ns }
            }
        }
    }
}

/// Judges what was measured, together with how the procedure ended.
pub(crate) fn judge(
    criteria: &Criteria,
    recorded: &Recorded,
    evidence: &Evidence,
    measured: &Measured,
    end: End,
) -> Judged {
    let mut judged = judged(criteria, recorded, evidence, measured);
    match (end, &measured.failure) {
        (End::Interrupted, _) => {
            judged.verdict = Verdict::Interrupted;
            judged.reason = "stopped by the user; the report has what was measured until then".to_owned();
        }
        (End::Skipped(reason), _) => (judged.verdict, judged.reason) = (Verdict::Skipped, reason),
        (End::Failed(reason), _) => (judged.verdict, judged.reason) = (Verdict::Errored, reason),
        (End::Done, Some(failure)) => {
            (judged.verdict, judged.reason) = (Verdict::Errored, errors::line(failure));
        }
        (End::Done, None) => {}
    }
    judged
}

fn judged(criteria: &Criteria, recorded: &Recorded, evidence: &Evidence, measured: &Measured) -> Judged {
    let Measured { flows, processors, until_ns, .. } = measured;
    let (windows, until_ns) = (&evidence.windows, *until_ns);
    let from_ns = windows.first().map_or(until_ns, |window| window.from_ns);
    let shortage = Shortage::of(processors, from_ns, until_ns);
    let Recorded { clock, observations, steps } = recorded;
    let seen: Vec<Observed> = observations.iter().map(|o| observed(o, *clock)).collect();
    let (noise, host_losses) = host::noise_and_losses(flows, (from_ns, until_ns), &seen);
    let rules = Rules::standard();
    let reported = flows
        .iter()
        .map(|flow| flows::flow(flow, (from_ns, until_ns), &noise, &seen, &rules, steps, *clock))
        .collect();
    let mut judgement = Judgement::new(criteria, &seen, &noise);
    for (index, window) in windows.iter().enumerate() {
        let next = windows.get(index + 1);
        let times = Times {
            from_ns: window.from_ns,
            to_ns: next.map_or(until_ns, |next| next.from_ns),
            is_first: index == 0,
            is_last: next.is_none(),
        };
        match &window.transition {
            None => judgement.baseline(flows, &times),
            Some(transition) => judgement.transition(flows, transition, &times),
        }
    }
    host_losses.iter().for_each(|loss| judgement.host_loss(loss));
    evidence.findings.iter().for_each(|finding| judgement.step_finding(finding));
    if let Some(unfinished) = &evidence.unfinished {
        judgement.unfinished(unfinished);
    }
    let (verdict, reason) = judgement.verdict(flows, windows);
    Judged {
        verdict,
        reason,
        noise: run::Noise {
            canary_clean: noise.canary_lost == 0,
            canary_lost: noise.canary_lost,
            lateness_p50_us: noise.lateness_p50_us as f64,
            lateness_p99_us: noise.lateness_p99_us as f64,
            lateness_max_us: noise.lateness_max_us as f64,
            stolen_ms: shortage.stolen_ms.map(|ms| ms as f64),
            cpu_pressure: shortage.pressure,
        },
        flows: reported,
        findings: judgement.findings,
        budgets: judgement.budgets,
    }
}

fn observed(timed: &TimedObservation, clock: RunClock) -> Observed {
    let what = timed.what.clone();
    Observed {
        at_ns: clock.ns(timed.at_ms),
        node: what.node,
        role: what.role,
        object: what.object,
        change: what.change,
        detail: what.detail,
    }
}

/// A window of the measurement.
struct Times {
    from_ns: u64,
    to_ns: u64,
    is_first: bool,
    is_last: bool,
}

impl Times {
    /// The window of a flow: probes that had not ended when it began belong to it, and those that had not ended when the
    /// next one began do not.
    fn of(&self, flow: &FlowSamples) -> (u64, u64) {
        let from_ns = if self.is_first { self.from_ns } else { flow.undecided_from(self.from_ns) };
        let to_ns = if self.is_last { self.to_ns } else { flow.undecided_from(self.to_ns) };
        (from_ns, to_ns)
    }
}

/// Judges window by window and gathers what was found.
struct Judgement<'a> {
    criteria: &'a Criteria,
    seen: &'a [Observed],
    noise: &'a Noise,
    table: Budgets,
    findings: Vec<Finding>,
    budgets: Vec<Budget>,
    /// Flows that lost probes before the first step.
    unclean: Vec<String>,
    /// Flows whose verdict depends on doubtful samples, with their measurement.
    doubtful: Vec<String>,
    /// Whether any flow was measured in the baseline.
    baseline_measured: bool,
    /// Whether any flow was measured and judged in a transition.
    transition_judged: bool,
}

impl<'a> Judgement<'a> {
    fn new(criteria: &'a Criteria, seen: &'a [Observed], noise: &'a Noise) -> Self {
        let table = criteria.budgets.clone().unwrap_or_else(Budgets::standard);
        Self {
            criteria,
            seen,
            noise,
            table,
            findings: Vec::new(),
            budgets: Vec::new(),
            unclean: Vec::new(),
            doubtful: Vec::new(),
            baseline_measured: false,
            transition_judged: false,
        }
    }

    fn baseline(&mut self, flows: &[FlowSamples], times: &Times) {
        for flow in flows {
            let id = &flow.flow.id;
            let (from_ns, to_ns) = times.of(flow);
            let baseline = Baseline::of(flow, from_ns, to_ns, self.noise, !times.is_last);
            self.baseline_measured |= baseline != Baseline::Nothing;
            match baseline {
                Baseline::Works | Baseline::Nothing => {}
                Baseline::Doubtful => self.doubtful.push(format!("{id} in the baseline")),
                Baseline::Broken(classes) => {
                    self.unclean.extend(classes.iter().map(|class| format!("{id}: {class}")));
                }
            }
        }
    }

    fn transition(&mut self, flows: &[FlowSamples], transition: &Transition, times: &Times) {
        let within = |o: &&Observed| times.from_ns <= o.at_ns && o.at_ns < times.to_ns;
        let seen: Vec<Observed> = self.seen.iter().filter(within).cloned().collect();
        let restarts = Restart::all(&seen, Role::Agent);
        let impacts = Impacts { l3: transition.l3, l7: transition.l7 };
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        for flow in flows.iter().filter(|flow| flow.flow.layer != Layer::Canary) {
            let (from_ns, to_ns) = times.of(flow);
            let summary = Summary::of(flow, from_ns, to_ns, self.noise);
            let judged = self.table.judge(&flow.flow, &summary.outages, impacts, &restarts);
            self.transition_judged |= summary.planned > 0 && (judged.noisy || judged.kept.is_some());
            if judged.noisy {
                self.doubtful.push(format!("{}: {}", flow.flow.id, judged.measured));
            }
            for violation in &judged.violations {
                self.finding(&flow.flow.id, transition, violation);
            }
            let layer = match flow.flow.layer {
                Layer::L3 | Layer::L4 => "L3 and L4".to_owned(),
                other => other.to_string(),
            };
            let longest_ns = summary.outages.measured.iter().map(probe::outage::Outage::min_ns).max();
            rows.entry(layer).or_default().add(&flow.flow.id, &judged, longest_ns);
        }
        for (layer, row) in rows {
            self.budgets.push(row.budget(format!("{layer}, {}", transition.name)));
        }
    }

    fn finding(&mut self, flow: &str, transition: &Transition, violation: &str) {
        self.findings.push(Finding {
            id: format!("F{}", self.findings.len() + 1),
            hazard: None,
            flow: Some(flow.to_owned()),
            summary: violation.to_owned(),
            evidence: format!(
                "during {}; the flow's outages and their causes are in the report",
                transition.name
            ),
            reproduce: self.criteria.reproduce.clone(),
        });
    }

    /// A loss on the network of the nodes is a finding when the subject may have caused it.
    fn host_loss(&mut self, loss: &host::HostLoss) {
        self.findings.push(Finding {
            id: format!("F{}", self.findings.len() + 1),
            hazard: None,
            flow: Some(loss.flow.clone()),
            summary: loss.summary(),
            evidence: loss.evidence(),
            reproduce: self.criteria.reproduce.clone(),
        });
    }

    /// What a step found is reported, even if no traffic was lost by it.
    fn step_finding(&mut self, finding: &StepFinding) {
        self.findings.push(Finding {
            id: format!("F{}", self.findings.len() + 1),
            hazard: Some(finding.hazard.to_owned()),
            flow: None,
            summary: finding.summary.clone(),
            evidence: finding.evidence.clone(),
            reproduce: self.criteria.reproduce.clone(),
        });
    }

    /// A rollout that does not end is a finding, whether traffic was lost or not.
    fn unfinished(&mut self, unfinished: &UnfinishedChange) {
        let blocked = self.seen.iter().filter(|seen| seen.change == Change::CannotStart);
        let blocked = blocked.map(|seen| {
            let (node, detail) = (seen.node.as_deref().unwrap_or_default(), seen.detail.as_deref());
            format!("{} on {node}: {}", seen.object, detail.unwrap_or_default())
        });
        let evidence: Vec<_> = std::iter::once(unfinished.reason.clone()).chain(blocked).collect();
        self.findings.push(Finding {
            id: format!("F{}", self.findings.len() + 1),
            hazard: None,
            flow: None,
            summary: format!("{} did not end", unfinished.step),
            evidence: evidence.join("; "),
            reproduce: self.criteria.reproduce.clone(),
        });
    }

    fn verdict(&self, flows: &[FlowSamples], windows: &[Window]) -> (Verdict, String) {
        let faults: Vec<_> = flows
            .iter()
            .filter_map(|flow| Some(format!("{}: {}", flow.flow.id, flow.fault.as_ref()?)))
            .collect();
        if !faults.is_empty() {
            return (Verdict::Errored, format!("samples are missing: {}", faults.join("; ")));
        }
        if !self.unclean.is_empty() {
            let flows = self.unclean.join("; ");
            return (
                Verdict::Errored,
                format!("baseline failed: traffic was lost before the first step: {flows}"),
            );
        }
        if let Some(first) = self.findings.first() {
            let more = self.findings.len() - 1;
            let more = if more == 0 { String::new() } else { format!(", and {more} more findings") };
            return (Verdict::Failed, format!("{}{more}", first.summary));
        }
        if let Some(first) = self.doubtful.first() {
            let more = self.doubtful.len() - 1;
            let more = if more == 0 { String::new() } else { format!(", and {more} more flows") };
            let reason = "the machine was too busy to measure";
            return (Verdict::Noisy, format!("{reason}: {first}{more}; run it again on a quieter machine"));
        }
        // A run without transitions has its baseline only, and a procedure without windows measures something else.
        let transitions = windows.iter().any(|window| window.transition.is_some());
        let judged = if transitions { self.transition_judged } else { self.baseline_measured };
        if !judged && !windows.is_empty() {
            let reason = "no flow was judged: no budget is for its impact, or nothing was measured";
            return (Verdict::Skipped, reason.to_owned());
        }
        (Verdict::Passed, "every flow stayed inside its budget".to_owned())
    }
}

#[cfg(test)]
mod verdict_tests;
