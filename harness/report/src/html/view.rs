//! The texts of the page; the templates only place them.

use serde::Serialize;

use super::class;
use super::timeline::{self, Timeline};
use crate::incidents;
use crate::run::{Flow, Incident, Noise, Outage, Outcome, Run, Verdict};
use crate::units;

#[derive(Serialize)]
pub(super) struct Page {
    title: String,
    id: String,
    verdict: String,
    mark: &'static str,
    reason: String,
    headline: Vec<(&'static str, String)>,
    incidents: Vec<IncidentRow>,
    findings: Vec<Finding>,
    failed_steps: Vec<StepRow>,
    timeline: Option<Timeline>,
    flows: Vec<FlowRow>,
    clean_flows: usize,
    outages: Vec<OutageRow>,
    budgets: Vec<BudgetRow>,
    steps: Vec<StepRow>,
    noise: Vec<(&'static str, String)>,
    facts: Vec<(String, String)>,
    observations: Vec<[String; 5]>,
}

#[derive(Serialize)]
struct Finding {
    id: String,
    hazard: String,
    flow: String,
    summary: String,
    evidence: String,
    reproduce: String,
}

#[derive(Serialize)]
struct IncidentRow {
    id: String,
    headline: String,
    affected: String,
    unaffected: String,
}

#[derive(Serialize)]
struct StepRow {
    name: String,
    started: String,
    took: String,
    outcome: String,
    detail: String,
}

#[derive(Serialize)]
struct FlowRow {
    id: String,
    path: String,
    ends: String,
    layer: String,
    sent: String,
    bad: String,
    state: &'static str,
    latency: String,
    outages: usize,
    worst: String,
    class: String,
    css: &'static str,
    cause: String,
    classes: String,
}

#[derive(Serialize)]
struct OutageRow {
    number: usize,
    flow: String,
    path: String,
    class: String,
    css: &'static str,
    duration: String,
    at: String,
    step: String,
    samples: String,
    cut: String,
    cause: String,
    confidence: String,
    evidence: String,
}

#[derive(Serialize)]
struct BudgetRow {
    name: String,
    words: String,
    rule: String,
    measured: String,
    state: &'static str,
    mark: &'static str,
}

/// Everything that the page shows of a run.
pub(super) fn page(run: &Run) -> Page {
    let numbered = numbered_outages(run);
    Page {
        title: format!("{}: {} {}", run.verdict, run.subject, run.versions()),
        id: run.id.clone(),
        verdict: run.verdict.to_string(),
        mark: verdict_mark(run.verdict),
        reason: run.reason.clone(),
        headline: headline(run),
        incidents: incidents(run),
        findings: run.findings.iter().map(finding).collect(),
        failed_steps: steps(run).filter(|step| step.outcome != Outcome::Done.to_string()).collect(),
        timeline: timeline::layout(run, &numbered),
        flows: run.flows.iter().map(flow).collect(),
        clean_flows: run.flows.iter().filter(|flow| flow.is_clean()).count(),
        outages: numbered
            .iter()
            .enumerate()
            .map(|(at, (flow, outage))| outage_row(at + 1, flow, outage))
            .collect(),
        budgets: budgets(run),
        steps: steps(run).collect(),
        noise: if run.flows.is_empty() { Vec::new() } else { noise(&run.noise) },
        facts: facts(run),
        observations: observations(run),
    }
}

/// The outages of all flows in order of time; the first has number 1.
fn numbered_outages(run: &Run) -> Vec<(&Flow, &Outage)> {
    let mut all: Vec<_> =
        run.flows.iter().flat_map(|flow| flow.outages.iter().map(move |outage| (flow, outage))).collect();
    all.sort_by(|(_, a), (_, b)| a.first_bad_ms.total_cmp(&b.first_bad_ms));
    all
}

fn verdict_mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✓",
        Verdict::Failed => "✗",
        Verdict::Errored => "!",
        Verdict::Skipped => "–",
        Verdict::Noisy => "~",
        Verdict::Interrupted => "■",
    }
}

fn headline(run: &Run) -> Vec<(&'static str, String)> {
    let provider = &run.provider;
    let nodes = units::plural(provider.nodes.len(), "node");
    let cluster = if provider.kubernetes.is_empty() {
        format!("{}, {nodes}", provider.name)
    } else {
        format!("{}, Kubernetes {}, {nodes}", provider.name, provider.kubernetes)
    };
    let noise = match (run.flows.is_empty(), run.noise.canary_clean) {
        (true, _) => "not measured".to_owned(),
        (_, true) => format!("canary clean, probes late by {} (p99)", late(run.noise.lateness_p99_us)),
        (_, false) => format!("canary lost {}", units::count(run.noise.canary_lost)),
    };
    vec![
        ("Subject", run.subject.clone()),
        ("Versions", run.versions()),
        ("Cluster", cluster),
        ("Noise", noise),
        ("Started", format!("{}, duration {}", run.started, units::duration(run.elapsed_ms))),
    ]
}

/// The incidents with findings; outages inside the budgets are in the timeline alone.
fn incidents(run: &Run) -> Vec<IncidentRow> {
    let incidents = incidents::with_findings(run);
    let row = |incident: Incident| IncidentRow {
        headline: incident.headline(),
        id: incident.id,
        affected: incident.flows.join(", "),
        unaffected: incident.unaffected.join(", "),
    };
    incidents.into_iter().map(row).collect()
}

fn finding(finding: &crate::run::Finding) -> Finding {
    Finding {
        id: finding.id.clone(),
        hazard: finding.hazard.clone().unwrap_or_default(),
        flow: finding.flow.clone().unwrap_or_default(),
        summary: finding.summary.clone(),
        evidence: finding.evidence.clone(),
        reproduce: finding.reproduce.clone(),
    }
}

fn steps(run: &Run) -> impl Iterator<Item = StepRow> {
    run.steps.iter().map(|step| StepRow {
        name: step.name.clone(),
        started: units::instant(step.started_ms),
        took: units::duration(step.ended_ms - step.started_ms),
        outcome: step.outcome.to_string(),
        detail: match (&step.detail, step.outcome) {
            (Some(detail), _) => detail.clone(),
            (None, Outcome::Done) => String::new(),
            (None, _) => "no reason was recorded".to_owned(),
        },
    })
}

fn flow(flow: &Flow) -> FlowRow {
    let worst = flow.worst();
    let class = worst.map(|outage| flow.class_of(outage)).unwrap_or_default();
    let classes: Vec<String> =
        flow.classes.iter().map(|(class, n)| format!("{class} {}", units::count(*n))).collect();
    FlowRow {
        id: flow.id.clone(),
        path: flow.path.clone(),
        ends: format!("{} → {}", flow.client, flow.server),
        layer: flow.layer.to_string(),
        sent: units::count(flow.sent),
        bad: if flow.sent == 0 { "no samples".to_owned() } else { units::count(flow.bad()) },
        state: match flow.is_clean() {
            true => "clean",
            false if flow.sent == 0 || flow.is_deny() => "bad",
            false => "disturbed",
        },
        latency: flow.latency_ms.map(|at| at.map(units::duration).join(" · ")).unwrap_or_default(),
        outages: flow.outages.len(),
        worst: worst.map(Outage::duration).unwrap_or_default(),
        class: class.to_owned(),
        css: class::css(class),
        cause: worst.map(Outage::cause).unwrap_or_default(),
        classes: classes.join(", "),
    }
}

fn outage_row(number: usize, flow: &Flow, outage: &Outage) -> OutageRow {
    let class = flow.class_of(outage);
    let attribution = outage.attribution.as_ref();
    OutageRow {
        number,
        flow: flow.id.clone(),
        path: flow.path.clone(),
        class: class.to_owned(),
        css: class::css(class),
        duration: outage.duration(),
        at: interval(outage),
        step: outage.step.clone().unwrap_or_default(),
        samples: units::plural(outage.samples as usize, "sample"),
        cut: match outage.connections_cut {
            0 => String::new(),
            n => format!("{} cut", units::plural(n as usize, "connection")),
        },
        cause: outage.cause(),
        confidence: attribution.map(|cause| cause.confidence.to_string()).unwrap_or_default(),
        evidence: attribution.map(|cause| cause.evidence.clone()).unwrap_or_default(),
    }
}

fn interval(outage: &Outage) -> String {
    let (from, to) = (units::instant(outage.first_bad_ms), units::instant(outage.last_bad_ms));
    match outage.first_good_ms {
        None => format!("from {from} until probing ended"),
        Some(_) if from == to => format!("at {from}"),
        Some(_) => format!("{from} to {to}"),
    }
}

fn budgets(run: &Run) -> Vec<BudgetRow> {
    run.budgets
        .iter()
        .map(|budget| {
            let (state, mark) = match budget.kept {
                Some(true) => ("met", "✓"),
                Some(false) => ("exceeded", "✗"),
                None => ("not judged", "–"),
            };
            BudgetRow {
                name: budget.name.clone(),
                words: budget.words.clone(),
                rule: budget.rule.clone(),
                measured: budget.measured.clone(),
                state,
                mark,
            }
        })
        .collect()
}

fn late(us: f64) -> String {
    units::duration(us / 1000.0)
}

fn noise(noise: &Noise) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        (
            "Canary",
            if noise.canary_clean { "clean".to_owned() } else { format!("lost {}", noise.canary_lost) },
        ),
        ("Lateness, median", late(noise.lateness_p50_us)),
        ("Lateness, p99", late(noise.lateness_p99_us)),
        ("Lateness, worst", late(noise.lateness_max_us)),
    ];
    rows.extend(noise.stolen_ms.map(|ms| ("Stolen by the host", units::duration(ms))));
    rows.extend(noise.cpu_pressure.map(|part| ("CPU pressure", format!("{:.0} %", part * 100.0))));
    rows
}

fn facts(run: &Run) -> Vec<(String, String)> {
    let provider = &run.provider;
    let mut facts = vec![
        ("run".to_owned(), run.id.clone()),
        ("seatrial".to_owned(), run.seatrial.clone()),
        ("exit code".to_owned(), run.exit_code.to_string()),
        ("nodes".to_owned(), provider.nodes.join(", ")),
    ];
    facts.extend(provider.boot_ms.map(|ms| ("cluster boot".to_owned(), units::duration(ms))));
    facts.extend(provider.build_ms.map(|ms| ("build of components".to_owned(), units::duration(ms))));
    facts.extend(provider.memory_peak_bytes.map(|n| ("memory, peak".to_owned(), units::bytes(n))));
    facts.extend(provider.facts.clone());
    facts
}

fn observations(run: &Run) -> Vec<[String; 5]> {
    run.observations
        .iter()
        .map(|seen| {
            [
                units::instant(seen.at_ms),
                seen.what.node.clone().unwrap_or_else(|| "–".to_owned()),
                format!("{} {}", seen.what.role, seen.what.change),
                seen.what.object.clone(),
                seen.what.detail.clone().unwrap_or_default(),
            ]
        })
        .collect()
}
