//! The timeline: positions on the time axis in percent of its length, so that the page can have any width.

mod labels;

use std::collections::{BTreeMap, BTreeSet};

use model::{Change, Layer, Role};
use serde::Serialize;

use super::class;
use crate::run::{Flow, Outage, Run};
use crate::units;
use labels::Label;

/// Least width of a bar, percent, so that 20 ms of a minute are visible.
const LEAST_BAR: f64 = 0.25;
/// Colours that the style sheet has for nodes.
const NODE_COLOURS: usize = 6;

#[derive(Serialize)]
pub(super) struct Timeline {
    ticks: Vec<Tick>,
    bands: Vec<Band>,
    nodes: Vec<NodeLane>,
    groups: Vec<Group>,
    classes: Vec<(String, &'static str)>,
}

#[derive(Serialize)]
struct Tick {
    x: f64,
    text: String,
    anchor: &'static str,
    minor: bool,
}

/// A step.
#[derive(Serialize)]
struct Band {
    x: f64,
    width: f64,
    name: String,
    title: String,
}

/// The restarts of the agent of a node.
#[derive(Serialize)]
struct NodeLane {
    name: String,
    colour: usize,
    absences: Vec<Absence>,
    labels: Vec<Label>,
}

/// From the end of an agent until its successor is ready.
#[derive(Serialize)]
struct Absence {
    x: f64,
    /// Until the successor started.
    gone: f64,
    /// Until it was ready.
    width: f64,
    started_x: Option<f64>,
    ready_x: Option<f64>,
    title: String,
}

#[derive(Serialize)]
struct Group {
    layer: String,
    what: &'static str,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: String,
    title: String,
    summary: String,
    clean: bool,
    x: f64,
    width: f64,
    bars: Vec<Bar>,
    labels: Vec<Label>,
}

#[derive(Serialize)]
struct Bar {
    number: usize,
    /// First bad to last bad sample.
    x: f64,
    width: f64,
    /// Last good to next good sample.
    outer_x: f64,
    outer_width: f64,
    css: &'static str,
    title: String,
}

/// The part of the run in which traffic was sent.
struct Axis {
    start: f64,
    end: f64,
}

impl Axis {
    fn of(run: &Run) -> Option<Self> {
        let start = run.flows.iter().map(|flow| flow.window_ms.0).reduce(f64::min)?;
        let end = run.flows.iter().map(|flow| flow.window_ms.1).reduce(f64::max)?;
        (end > start).then_some(Self { start, end })
    }

    fn x(&self, ms: f64) -> f64 {
        let percent = (ms - self.start) / (self.end - self.start) * 100.0;
        (percent.clamp(0.0, 100.0) * 1000.0).round() / 1000.0
    }

    fn has(&self, ms: f64) -> bool {
        (self.start..=self.end).contains(&ms)
    }
}

/// Lays out the timeline; none where no traffic was sent.
///
/// `outages` are those of all flows, numbered from 1; a bar links to its outage by that number.
pub(super) fn layout(run: &Run, outages: &[(&Flow, &Outage)]) -> Option<Timeline> {
    let axis = Axis::of(run)?;
    let mut layers: BTreeMap<Layer, Vec<Row>> = BTreeMap::new();
    for flow in &run.flows {
        layers.entry(flow.layer).or_default().push(row(flow, outages, &axis));
    }
    let groups = layers
        .into_iter()
        .map(|(layer, rows)| Group { layer: layer.to_string(), what: meaning(layer), rows })
        .collect();
    let classes: BTreeSet<&str> = outages.iter().map(|(flow, outage)| flow.class_of(outage)).collect();
    Some(Timeline {
        ticks: ticks(&axis),
        bands: bands(run, &axis),
        nodes: nodes(run, &axis),
        groups,
        classes: classes.into_iter().map(|class| (class.to_owned(), class::css(class))).collect(),
    })
}

fn meaning(layer: Layer) -> &'static str {
    match layer {
        Layer::L3 => "packets",
        Layer::L4 => "connections",
        Layer::L7 => "requests through a proxy",
        Layer::Policy => "traffic that policy must block",
        Layer::Control => "new pods",
        Layer::Canary => "control traffic of the harness, which does not cross the subject",
    }
}

/// At most twelve ticks at round seconds.
fn ticks(axis: &Axis) -> Vec<Tick> {
    let length = (axis.end - axis.start) / 1000.0;
    let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0]
        .into_iter()
        .find(|step| length / step <= 12.0)
        .unwrap_or(1800.0);
    let first = (axis.start / 1000.0 / step).ceil() as u64;
    let last = (axis.end / 1000.0 / step).floor() as u64;
    (first..=last)
        .map(|n| {
            let seconds = n as f64 * step;
            let x = axis.x(seconds * 1000.0);
            Tick {
                x,
                text: if step < 1.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") },
                anchor: if x > 96.0 {
                    "end"
                } else if x < 4.0 {
                    "start"
                } else {
                    "middle"
                },
                minor: n % 2 == 1,
            }
        })
        .collect()
}

fn bands(run: &Run, axis: &Axis) -> Vec<Band> {
    run.steps
        .iter()
        .filter(|step| step.ended_ms > axis.start && step.started_ms < axis.end)
        .map(|step| {
            let x = axis.x(step.started_ms);
            let (from, to) = (units::instant(step.started_ms), units::instant(step.ended_ms));
            Band {
                x,
                width: axis.x(step.ended_ms) - x,
                name: step.name.clone(),
                title: format!("{}: {from} to {to}, {}", step.name, step.outcome),
            }
        })
        .collect()
}

fn nodes(run: &Run, axis: &Axis) -> Vec<NodeLane> {
    let mut names: Vec<&str> = run.provider.nodes.iter().map(String::as_str).collect();
    for seen in &run.observations {
        if let Some(node) = seen.what.node.as_deref().filter(|_| seen.what.role == Role::Agent)
            && !names.contains(&node)
        {
            names.push(node);
        }
    }
    names.into_iter().enumerate().map(|(at, name)| lane(run, name, at % NODE_COLOURS, axis)).collect()
}

fn lane(run: &Run, node: &str, colour: usize, axis: &Axis) -> NodeLane {
    let mut times: Vec<(f64, Option<f64>, Option<f64>)> = Vec::new();
    for seen in &run.observations {
        if seen.what.role != Role::Agent || seen.what.node.as_deref() != Some(node) || !axis.has(seen.at_ms) {
            continue;
        }
        let away = times.last_mut().filter(|(_, _, ready)| ready.is_none());
        match (seen.what.change, away) {
            (Change::Terminated, None) => times.push((seen.at_ms, None, None)),
            (Change::Started, Some((_, started, _))) => *started = Some(seen.at_ms),
            (Change::Ready, Some((_, _, ready))) => *ready = Some(seen.at_ms),
            _ => {}
        }
    }
    let spans: Vec<labels::Span> = times
        .iter()
        .map(|&(terminated, _, ready)| {
            let end = ready.unwrap_or(axis.end);
            let duration = units::range(end - terminated, ready.map(|at| at - terminated));
            labels::Span {
                from: axis.x(terminated),
                to: axis.x(end),
                texts: [format!("away {duration}"), duration],
            }
        })
        .collect();
    let absences =
        times.iter().map(|&(terminated, started, ready)| absence(axis, terminated, started, ready));
    NodeLane { name: node.to_owned(), colour, absences: absences.collect(), labels: labels::place(&spans) }
}

fn absence(axis: &Axis, terminated: f64, started: Option<f64>, ready: Option<f64>) -> Absence {
    let end = ready.unwrap_or(axis.end);
    let x = axis.x(terminated);
    let then = |what: &str, at: Option<f64>| match at {
        Some(at) => format!(", {what} at {}", units::instant(at)),
        None => format!(", not {what}"),
    };
    let title = format!(
        "agent terminated at {}{}{}",
        units::instant(terminated),
        then("started", started),
        then("ready", ready)
    );
    Absence {
        x,
        gone: axis.x(started.unwrap_or(end)) - x,
        width: axis.x(end) - x,
        started_x: started.map(|at| axis.x(at)),
        ready_x: ready.map(|at| axis.x(at)),
        title,
    }
}

fn row(flow: &Flow, outages: &[(&Flow, &Outage)], axis: &Axis) -> Row {
    let mine: Vec<(usize, &Outage)> = outages
        .iter()
        .enumerate()
        .filter(|(_, (of, _))| std::ptr::eq(*of, flow))
        .map(|(at, (_, outage))| (at + 1, *outage))
        .collect();
    let bars: Vec<Bar> = mine.iter().map(|&(number, outage)| bar(number, flow, outage, axis)).collect();
    let spans: Vec<labels::Span> = mine
        .iter()
        .zip(&bars)
        .map(|((_, outage), bar)| labels::Span {
            from: bar.outer_x.min(bar.x),
            to: (bar.outer_x + bar.outer_width).max(bar.x + bar.width),
            texts: [format!("{} {}", flow.class_of(outage), outage.duration()), outage.duration()],
        })
        .collect();
    let x = axis.x(flow.window_ms.0);
    Row {
        id: flow.id.clone(),
        title: format!("{}; {} → {}", flow.path, flow.client, flow.server),
        summary: summary(flow),
        clean: flow.is_clean(),
        x,
        width: if flow.sent == 0 { 0.0 } else { axis.x(flow.window_ms.1) - x },
        labels: labels::place(&spans),
        bars,
    }
}

fn summary(flow: &Flow) -> String {
    match (flow.sent, flow.worst()) {
        (0, _) => "no samples".to_owned(),
        (_, None) if flow.is_deny() => "all blocked".to_owned(),
        (_, None) => "no outage".to_owned(),
        (_, Some(worst)) => {
            let outages = units::plural(flow.outages.len(), "outage");
            format!("{outages}, worst {} {}", flow.class_of(worst), worst.duration())
        }
    }
}

fn bar(number: usize, flow: &Flow, outage: &Outage, axis: &Axis) -> Bar {
    let x = axis.x(outage.first_bad_ms);
    let outer_x = axis.x(outage.last_good_ms.unwrap_or(outage.first_bad_ms));
    let class = flow.class_of(outage);
    Bar {
        number,
        x,
        width: (axis.x(outage.last_bad_ms) - x).max(LEAST_BAR),
        outer_x,
        outer_width: axis.x(outage.first_good_ms.unwrap_or(axis.end)) - outer_x,
        css: class::css(class),
        title: format!(
            "{}: {class} for {}\n{} to {}, {}\n{}",
            flow.id,
            outage.duration(),
            units::instant(outage.first_bad_ms),
            units::instant(outage.last_bad_ms),
            units::plural(outage.samples as usize, "bad sample"),
            outage.cause()
        ),
    }
}
