//! From samples to the flows of the report.

use std::collections::BTreeMap;

use probe::attribution::{Attribution, Observed, Rules, attribute};
use probe::noise::Noise;
use probe::outage::Outage;
use probe::sample::FlowSamples;
use probe::summary::Summary;
use report::run::{self, Flow, Step};

use crate::record::RunClock;

/// A flow over the whole measurement, for the report.
pub(super) fn flow(
    samples: &FlowSamples,
    window: (u64, u64),
    noise: &Noise,
    seen: &[Observed],
    rules: &Rules,
    steps: &[Step],
    clock: RunClock,
) -> Flow {
    let summary = Summary::of(samples, window.0, window.1, noise);
    let spec = &samples.flow;
    let outages = summary.outages.measured.iter().map(|outage| {
        let cause = attribute(spec, outage, seen, rules);
        report_outage(outage, cause, steps, clock)
    });
    let end = |end: &probe::flow::End| format!("{} on {}", end.pod, end.node);
    Flow {
        id: spec.id.clone(),
        kind: spec.kind,
        protocol: spec.protocol,
        path: format!("{}, {}, {}", spec.path.place, spec.path.via, spec.path.policy),
        layer: spec.layer,
        client: end(&spec.client),
        server: end(&spec.server),
        client_node: spec.node_of_client().to_owned(),
        server_node: spec.server.node.clone(),
        period_ms: ms(spec.period_ns),
        window_ms: summary.window_ns.map_or((0.0, 0.0), |(from, to)| (clock.ms(from), clock.ms(to))),
        planned: summary.planned,
        sent: summary.sent,
        answered: summary.answered,
        lost: summary.lost(),
        classes: summary
            .classes
            .0
            .iter()
            .map(|(class, count)| (class.to_string(), *count))
            .collect::<BTreeMap<_, _>>(),
        latency_ms: summary.latency.map(|l| [l.p50_us, l.p99_us, l.max_us].map(|us| us as f64 / 1_000.0)),
        outages: outages.collect(),
    }
}

fn report_outage(
    outage: &Outage,
    cause: Option<Attribution>,
    steps: &[Step],
    clock: RunClock,
) -> run::Outage {
    let at = |at_ns: u64| clock.ms(at_ns);
    let first_bad_ms = at(outage.first_bad_ns);
    let step = steps.iter().find(|step| step.started_ms <= first_bad_ms && first_bad_ms <= step.ended_ms);
    run::Outage {
        class: outage.class.to_string(),
        samples: outage.samples,
        min_ms: ms(outage.min_ns()),
        max_ms: outage.max_ns().map(ms),
        last_good_ms: outage.last_good_ns.map(at),
        first_bad_ms,
        last_bad_ms: at(outage.last_bad_ns),
        first_good_ms: outage.first_good_ns.map(at),
        connections_cut: outage.connections_cut,
        step: step.map(|step| step.name.clone()),
        attribution: cause.map(|cause| run::Attribution {
            event: cause.event,
            node: cause.node,
            confidence: cause.confidence,
            evidence: cause.evidence,
        }),
        noisy: outage.clear.is_none(),
    }
}

/// Whole microseconds, as milliseconds.
fn ms(ns: u64) -> f64 {
    (ns / 1_000) as f64 / 1_000.0
}
