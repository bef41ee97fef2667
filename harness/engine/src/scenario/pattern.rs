//! A selection of flows, outages and findings in the expectations of a scenario.

use std::fmt;

use model::{Class, Kind, Layer, Protocol};
use report::run::{Finding, Flow, Outage, Run};
use schemars::JsonSchema;
use serde::Deserialize;

/// A selection of flows and their outages; an omitted field matches all.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Pattern {
    /// Layer of the flow.
    pub layer: Option<Layer>,
    /// Kind of the flow.
    pub kind: Option<Kind>,
    /// Protocol of the flow.
    pub protocol: Option<Protocol>,
    /// Nodes of the two ends.
    pub place: Option<Place>,
    /// Class of the outage: that of its first bad sample.
    pub class: Option<Class>,
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

impl Pattern {
    pub(super) fn fits_finding(&self, finding: &Finding, run: &Run) -> bool {
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
            || self.kind.is_some()
            || self.protocol.is_some()
            || self.place.is_some()
            || self.class.is_some()
            || self.cause.is_some()
            || self.flow.is_some()
    }

    pub(super) fn fits_flow(&self, flow: &Flow) -> bool {
        let place = if flow.client_node == flow.server_node { Place::SameNode } else { Place::CrossNode };
        flow.layer != Layer::Canary
            && self.layer.is_none_or(|layer| layer == flow.layer)
            && self.place.is_none_or(|wanted| wanted == place)
            && self.kind.is_none_or(|kind| kind == flow.kind)
            && self.flow.as_ref().is_none_or(|part| flow.id.contains(part.as_str()))
            && self.protocol.is_none_or(|protocol| protocol == flow.protocol)
    }

    fn fits_cause(&self, outage: &Outage) -> bool {
        let event = outage.attribution.as_ref().map_or("", |attribution| &attribution.event);
        self.class.is_none_or(|class| class.to_string() == outage.class)
            && self.cause.as_ref().is_none_or(|cause| event.starts_with(cause.as_str()))
    }

    pub(super) fn fits_outage(&self, outage: &Outage, run: &Run) -> bool {
        let step = outage.step.as_deref().unwrap_or_default();
        self.fits_cause(outage)
            && self.during.as_ref().is_none_or(|during| step.starts_with(during.as_str()))
            && self.until.as_ref().is_none_or(|until| ended_by(until, outage, run))
    }

    pub(super) fn suffers(&self, flow: &Flow, run: &Run) -> bool {
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
            self.kind.map(|kind| kind.to_string()),
            self.protocol.map(|protocol| protocol.to_string()),
            place,
            self.class.map(|class| class.to_string()),
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
