//! Groups the outages of a run into incidents. Pure.
//!
//! Outages with a cause belong together when they overlap in time, have the same cause and the same layer. Outages without
//! a cause belong together when they overlap in time and are between the same nodes. Outages during noise found no incident:
//! they join one, or belong to none.

use std::collections::BTreeSet;

use model::Layer;

use crate::run::{Flow, Incident, Outage, Run};

/// What the outages of one incident share.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// The cause and the layer.
    Cause(String, Layer),
    /// The nodes, and whether denied traffic was answered.
    Nodes(BTreeSet<String>, bool),
}

/// An outage with its flow.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    flow: &'a Flow,
    outage: &'a Outage,
}

/// Outages that belong together.
#[derive(Debug)]
struct Group<'a> {
    key: Key,
    parts: Vec<Part<'a>>,
}

/// Groups the outages of a run into incidents, in order of time.
#[must_use]
pub fn of(run: &Run) -> Vec<Incident> {
    let all = run.flows.iter().filter(|flow| flow.layer != Layer::Canary);
    let all = all.flat_map(|flow| flow.outages.iter().map(move |outage| Part { flow, outage }));
    let (noisy, clear): (Vec<_>, Vec<_>) = all.partition(|part| part.outage.noisy);
    let (open, fixed): (Vec<_>, Vec<_>) = clear.into_iter().partition(Part::has_any_server);
    let mut groups = grouped(fixed);
    // Flows with a server on any node join the incident of some of their nodes, and make no bridge between two.
    let (joining, own): (Vec<_>, Vec<_>) = open.into_iter().partition(|part| joined(&groups, part).is_some());
    groups.extend(grouped(own));
    for part in joining.into_iter().chain(noisy) {
        if let Some(at) = joined(&groups, &part) {
            groups[at].parts.push(part);
        }
    }
    groups.sort_by(|a, b| a.first_bad_ms().total_cmp(&b.first_bad_ms()));
    let counted = groups.iter().enumerate();
    counted.map(|(at, group)| group.incident(format!("I{}", at + 1), &run.flows)).collect()
}

/// The incidents with a flow that has a finding: those to look at first.
#[must_use]
pub fn with_findings(run: &Run) -> Vec<Incident> {
    let accused: BTreeSet<&str> = run.findings.iter().filter_map(|finding| finding.flow.as_deref()).collect();
    let mut incidents = of(run);
    incidents.retain(|incident| incident.flows.iter().any(|flow| accused.contains(flow.as_str())));
    incidents
}

/// Puts together what shares a key and overlaps, directly or through others.
fn grouped(mut parts: Vec<Part<'_>>) -> Vec<Group<'_>> {
    parts.sort_by(|a, b| a.outage.first_bad_ms.total_cmp(&b.outage.first_bad_ms));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for part in parts {
        let key = part.key();
        let (touching, mut others): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| group.key == key && group.parts.iter().any(|other| other.overlaps(&part)));
        let mut merged = Group { key, parts: touching.into_iter().flat_map(|group| group.parts).collect() };
        merged.parts.push(part);
        others.push(merged);
        groups = others;
    }
    groups
}

/// The group that a noisy outage, or one of a flow with a server on any node, belongs to.
fn joined(groups: &[Group<'_>], part: &Part<'_>) -> Option<usize> {
    let key = part.key();
    let fits = |group: &Group<'_>| match (&group.key, &key) {
        (Key::Nodes(those, deny), Key::Nodes(these, denied)) => deny == denied && those.is_subset(these),
        (one, other) => one == other,
    };
    groups.iter().position(|group| {
        let mut core = group.parts.iter().filter(|other| !other.outage.noisy);
        fits(group) && core.any(|other| other.overlaps(part))
    })
}

impl Part<'_> {
    fn nodes(&self) -> BTreeSet<String> {
        nodes(self.flow)
    }

    fn key(&self) -> Key {
        match &self.outage.attribution {
            Some(_) => Key::Cause(self.outage.cause(), self.flow.layer),
            None => Key::Nodes(self.nodes(), self.flow.is_deny()),
        }
    }

    fn has_any_server(&self) -> bool {
        self.outage.attribution.is_none() && self.flow.server_node.contains(',')
    }

    /// Whether both can have lasted at one moment: one surely, the other perhaps.
    fn overlaps(&self, other: &Self) -> bool {
        let surely = |part: &Self| (part.outage.first_bad_ms, part.outage.last_bad_ms);
        let perhaps = |part: &Self| {
            let outage = part.outage;
            (
                outage.last_good_ms.unwrap_or(outage.first_bad_ms),
                outage.first_good_ms.unwrap_or(f64::INFINITY),
            )
        };
        let meet = |a: (f64, f64), b: (f64, f64)| a.0 <= b.1 && b.0 <= a.1;
        meet(surely(self), perhaps(other)) || meet(perhaps(self), surely(other))
    }
}

/// The nodes at the ends of a flow.
fn nodes(flow: &Flow) -> BTreeSet<String> {
    let servers = flow.server_node.split(',').map(str::trim);
    servers.chain([flow.client_node.as_str()]).map(str::to_owned).collect()
}

impl Group<'_> {
    fn first_bad_ms(&self) -> f64 {
        self.parts.iter().map(|part| part.outage.first_bad_ms).fold(f64::INFINITY, f64::min)
    }

    /// The outages that the bounds and the classes are taken from.
    fn core(&self) -> impl Iterator<Item = &Outage> {
        self.parts.iter().map(|part| part.outage).filter(|outage| !outage.noisy)
    }

    fn incident(&self, id: String, flows: &[Flow]) -> Incident {
        let affected: BTreeSet<&str> = self.parts.iter().map(|part| part.flow.id.as_str()).collect();
        let ends: BTreeSet<BTreeSet<String>> = self.parts.iter().map(Part::nodes).collect();
        let unaffected = flows.iter().filter(|flow| {
            flow.layer != Layer::Canary && ends.contains(&nodes(flow)) && !affected.contains(flow.id.as_str())
        });
        let first_bad_ms = self.core().map(|outage| outage.first_bad_ms).fold(f64::INFINITY, f64::min);
        let last_bad_ms = self.core().map(|outage| outage.last_bad_ms).fold(first_bad_ms, f64::max);
        let begin = |outage: &Outage| outage.last_good_ms.unwrap_or(outage.first_bad_ms);
        let last_good_ms = self.core().map(begin).fold(first_bad_ms, f64::min);
        let first_good_ms = self
            .core()
            .map(|outage| outage.first_good_ms)
            .try_fold(last_bad_ms, |most, good| good.map(|good| good.max(most)));
        let cause = match &self.key {
            Key::Cause(cause, _) => Some(cause.clone()),
            Key::Nodes(..) => None,
        };
        let ids = |flow: &&Flow| affected.contains(flow.id.as_str());
        let layers: BTreeSet<Layer> = flows.iter().filter(ids).map(|flow| flow.layer).collect();
        let class = |part: &&Part<'_>| part.flow.class_of(part.outage).to_owned();
        let classes: BTreeSet<String> =
            self.parts.iter().filter(|part| !part.outage.noisy).map(|part| class(&part)).collect();
        Incident {
            id,
            first_bad_ms,
            last_bad_ms,
            min_ms: micros(last_bad_ms - first_bad_ms),
            max_ms: first_good_ms.map(|good_ms| micros(good_ms - last_good_ms)),
            between: between(&ends),
            layers: layers.into_iter().collect(),
            classes: classes.into_iter().collect(),
            cause,
            flows: flows.iter().filter(ids).map(|flow| flow.id.clone()).collect(),
            unaffected: unaffected.map(|flow| flow.id.clone()).collect(),
        }
    }
}

/// The nodes of an incident, such as `between node1 and node2`.
fn between(ends: &BTreeSet<BTreeSet<String>>) -> String {
    let nodes: BTreeSet<&str> = ends.iter().flatten().map(String::as_str).collect();
    let nodes: Vec<String> = nodes.into_iter().map(str::to_owned).collect();
    match &nodes[..] {
        [node] => format!("inside {node}"),
        nodes => format!("between {}", crate::units::list(nodes)),
    }
}

/// Milliseconds with the digits of a microsecond.
fn micros(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}
