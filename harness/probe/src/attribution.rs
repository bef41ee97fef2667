//! Attributes outages to observed events. Pure; the rules are data (`rules.yaml`).
//!
//! An event explains an outage when a rule allows such an event to cause such an outage, when it happened on a node of
//! the flow, and when the outage began inside the rule's window around it. "Not attributed" is a valid result; a guess is
//! not.

use model::{Change, Class, Confidence, Kind, Layer, Role};
use serde::Deserialize;

use crate::flow::{FlowSpec, Via};
use crate::outage::Outage;

/// An object is observed as ready within this time after it serves, ns.
const SEEN_AFTER_NS: u64 = 1_000_000_000;

/// An observed event in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// When it was observed, ns.
    pub at_ns: u64,
    /// Node; absent for objects of the whole cluster.
    pub node: Option<String>,
    /// Role of the object.
    pub role: Role,
    /// Object, such as `pod kube-system/agent-x7x2p`.
    pub object: String,
    /// What happened.
    pub change: Change,
    /// Further information for a reader.
    pub detail: Option<String>,
}

/// The cause of an outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// The event, such as `agent terminated`.
    pub event: String,
    /// Node on which it happened.
    pub node: Option<String>,
    /// The confidence.
    pub confidence: Confidence,
    /// A sentence with the times that support the attribution.
    pub evidence: String,
}

/// The end of a flow at which an event must have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Where {
    Client,
    Server,
    Either,
    Any,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[expect(dead_code, reason = "the name is for readers of the table")]
    name: String,
    role: Role,
    changes: Vec<Change>,
    node: Where,
    #[serde(default)]
    pod: bool,
    layers: Option<Vec<Layer>>,
    kinds: Option<Vec<Kind>>,
    via: Option<Vec<Via>>,
    classes: Option<Vec<Class>>,
    before_ms: u64,
    after_ms: u64,
    confidence: Confidence,
}

/// The rule table.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Rules(Vec<Rule>);

/// A rule table that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the attribution rules cannot be read: {0}")]
pub struct RulesError(String);

impl Rules {
    /// Returns the rules that come with the program.
    ///
    /// # Panics
    ///
    /// Never: a test reads them.
    #[must_use]
    pub fn standard() -> Self {
        Self::parse(include_str!("../rules.yaml")).expect("rules.yaml is read by a test")
    }

    /// Reads rules from YAML; unknown keys are errors.
    ///
    /// # Errors
    ///
    /// Names the line and column of what cannot be read.
    pub fn parse(yaml: &str) -> Result<Self, RulesError> {
        serde_saphyr::from_str(yaml).map_err(|error| RulesError(error.to_string()))
    }
}

/// An event that explains an outage by a rule.
struct Suspect<'a> {
    event: &'a Observed,
    confidence: Confidence,
    /// How far the event lies outside the interval in which the outage began.
    distance_ns: u64,
}

/// Finds the event that explains an outage of a flow; `None` when no observed event does.
#[must_use]
pub fn attribute(flow: &FlowSpec, outage: &Outage, seen: &[Observed], rules: &Rules) -> Option<Attribution> {
    let suspects: Vec<_> = seen
        .iter()
        .filter_map(|event| {
            let confidence = rules
                .0
                .iter()
                .filter(|rule| rule.explains(flow, outage, event))
                .map(|rule| rule.confidence)
                .max()?;
            Some(Suspect { event, confidence, distance_ns: distance(outage, event.at_ns) })
        })
        .collect();
    let best = suspects.iter().min_by_key(|s| (std::cmp::Reverse(s.confidence), s.distance_ns))?;
    let rival = suspects.iter().any(|s| s.confidence == best.confidence && s.event.node != best.event.node);
    let confidence = match best.confidence {
        Confidence::High if rival => Confidence::Medium,
        Confidence::Medium if rival => Confidence::Low,
        confidence => confidence,
    };
    Some(Attribution {
        event: format!("{} {}", best.event.role, best.event.change),
        node: best.event.node.clone(),
        confidence,
        evidence: evidence(flow, outage, best.event, seen),
    })
}

impl Rule {
    fn explains(&self, flow: &FlowSpec, outage: &Outage, event: &Observed) -> bool {
        let node = event.node.as_deref();
        let client = node == Some(flow.node_of_client());
        let server = flow.nodes_of_server().any(|own| node == Some(own));
        let near = match self.node {
            Where::Client => client,
            Where::Server => server,
            Where::Either => client || server,
            Where::Any => true,
        };
        let own_pod = || {
            let pod = event.object.rsplit('/').next();
            pod == Some(flow.client.pod.as_str()) || pod == Some(flow.server.pod.as_str())
        };
        let (began, first_bad) = outage.began();
        let ms = |ms: u64| ms * 1_000_000;
        let window = event.at_ns.saturating_sub(ms(self.before_ms))..=event.at_ns + ms(self.after_ms);
        near && self.role == event.role
            && self.changes.contains(&event.change)
            && (!self.pod || own_pod())
            && allows(self.layers.as_deref(), flow.layer)
            && allows(self.kinds.as_deref(), flow.kind)
            && allows(self.via.as_deref(), flow.path.via)
            && allows(self.classes.as_deref(), outage.class)
            && *window.start() <= first_bad
            && began <= *window.end()
    }
}

fn allows<T: PartialEq>(list: Option<&[T]>, value: T) -> bool {
    list.is_none_or(|list| list.contains(&value))
}

fn distance(outage: &Outage, at_ns: u64) -> u64 {
    let (began, first_bad) = outage.began();
    began.saturating_sub(at_ns) + at_ns.saturating_sub(first_bad)
}

/// Describes what happened, in one sentence with its times.
fn evidence(flow: &FlowSpec, outage: &Outage, event: &Observed, seen: &[Observed]) -> String {
    let place = event.node.as_deref().unwrap_or("cluster");
    let when = apart(outage.first_bad_ns, event.at_ns, &format!("{} {}", event.role, event.change));
    let protocol = flow.protocol.to_string().to_uppercase();
    let cut = match outage.connections_cut {
        0 => String::new(),
        1 => ", 1 connection".into(),
        cut => format!(", {cut} connections"),
    };
    let end = recovery(outage, event, seen);
    format!("{place}, {when}: {} {protocol} {}{cut}; {end}", flow.kind, outage.class)
}

/// Describes when the flow worked again, and how long after or before the object's own recovery.
fn recovery(outage: &Outage, event: &Observed, seen: &[Observed]) -> String {
    let Some(answered) = outage.answered_ns else { return "not answered again".into() };
    let (least, most) = (seconds(outage.min_ns()), seconds(answered.saturating_sub(outage.first_bad_ns)));
    let ready = seen.iter().rev().find(|other| {
        let same = other.role == event.role && other.node == event.node && other.change == Change::Ready;
        same && other.at_ns > event.at_ns && other.at_ns < answered + SEEN_AFTER_NS
    });
    let ready = ready.map_or(String::new(), |ready| {
        format!(", {}", apart(answered, ready.at_ns, &format!("{} ready", ready.role)))
    });
    format!("answered again {least}–{most} s later{ready}")
}

/// Writes the time between an event and something after or before it: `0.21 s after agent terminated`.
fn apart(at_ns: u64, event_ns: u64, event: &str) -> String {
    match at_ns.checked_sub(event_ns) {
        Some(after) => format!("{} s after {event}", seconds(after)),
        None => format!("{} s before {event} was seen", seconds(event_ns - at_ns)),
    }
}

fn seconds(ns: u64) -> String {
    let hundredths = ns / 10_000_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use model::Protocol;
    use rstest::rstest;

    use super::*;
    use crate::flow::tests::flow;

    const S: u64 = 1_000_000_000;
    const MS: u64 = 1_000_000;

    fn event(at_ns: u64, node: &str, role: Role, change: Change) -> Observed {
        Observed {
            at_ns,
            node: (!node.is_empty()).then(|| node.into()),
            role,
            object: format!("pod kube-system/{role}-{node}"),
            change,
            detail: None,
        }
    }

    fn outage(class: Class) -> Outage {
        Outage {
            class,
            samples: 138,
            last_good_ns: Some(10 * S - 10 * MS),
            first_bad_ns: 10 * S,
            last_bad_ns: 10 * S + 1370 * MS,
            first_good_ns: Some(10 * S + 1380 * MS),
            answered_ns: Some(10 * S + 1381 * MS),
            connections_cut: 1,
            clear: None,
        }
    }

    #[test]
    fn the_sentence_has_place_times_and_recovery() {
        let flow = flow(Kind::Held, Protocol::Http, Layer::L7);
        let seen = [
            event(10 * S - 210 * MS, "node2", Role::Agent, Change::Terminated),
            event(10 * S + 1361 * MS, "node2", Role::Agent, Change::Ready),
        ];
        let found = attribute(&flow, &outage(Class::Reset), &seen, &Rules::standard()).unwrap();
        assert_eq!(
            found.evidence,
            "node2, 0.21 s after agent terminated: held HTTP reset, 1 connection; \
             answered again 1.37–1.38 s later, 0.02 s after agent ready"
        );
        assert_eq!((found.event.as_str(), found.node.as_deref()), ("agent terminated", Some("node2")));
        assert_eq!(found.confidence, Confidence::High);
    }

    #[rstest]
    #[case::other_node(Layer::L7, event(10 * S, "node3", Role::Agent, Change::Terminated))]
    #[case::too_early(Layer::L7, event(4 * S, "node2", Role::Agent, Change::Terminated))]
    #[case::too_late(Layer::L7, event(13 * S, "node2", Role::Agent, Change::Terminated))]
    #[case::cannot_cause_it(Layer::L7, event(10 * S, "node2", Role::Operator, Change::Terminated))]
    #[case::service_of_a_flow_by_pod_ip(Layer::L4, event(10 * S, "", Role::Service, Change::Written))]
    #[case::before_the_link_went(Layer::L4, event(12 * S, "node2", Role::Link, Change::Down))]
    #[case::before_the_table_was_cleared(Layer::L4, event(12 * S, "node2", Role::Conntrack, Change::Cleared))]
    #[case::probe_of_another_flow(Layer::L4, event(10 * S, "node2", Role::Probe, Change::Terminated))]
    fn not_attributed(#[case] layer: Layer, #[case] seen: Observed) {
        let flow = flow(Kind::Held, Protocol::Tcp, layer);
        assert_eq!(attribute(&flow, &outage(Class::Reset), &[seen], &Rules::standard()), None);
    }

    #[rstest]
    #[case::server_proxy_before_client_proxy(Layer::L7, "node2", Confidence::High)]
    #[case::either_datapath(Layer::L3, "node1", Confidence::Low)]
    fn two_nodes_at_once(#[case] layer: Layer, #[case] node: &str, #[case] confidence: Confidence) {
        let flow = flow(Kind::Held, Protocol::Tcp, layer);
        let seen = [
            event(10 * S - 5 * MS, "node1", Role::Agent, Change::Terminated),
            event(10 * S - 300 * MS, "node2", Role::Agent, Change::Terminated),
        ];
        let found = attribute(&flow, &outage(Class::Reset), &seen, &Rules::standard()).unwrap();
        assert_eq!((found.node.as_deref(), found.confidence), (Some(node), confidence));
    }

    #[rstest]
    #[case::where_probes_come_in("node3", true)]
    #[case::where_the_server_is("node2", true)]
    #[case::where_the_client_would_be_if_it_were_a_pod("node1", false)]
    fn from_outside_the_node_whose_port_is_asked_stands_for_the_client(
        #[case] node: &str,
        #[case] found: bool,
    ) {
        let mut flow = flow(Kind::New, Protocol::Tcp, Layer::L4);
        flow.entry = Some("node3".into());
        let seen = [event(10 * S - 300 * MS, node, Role::Agent, Change::Terminated)];
        assert_eq!(attribute(&flow, &outage(Class::Lost), &seen, &Rules::standard()).is_some(), found);
    }

    #[test]
    fn an_unknown_key_in_a_rule_is_an_error() {
        let error = Rules::parse("- {name: x, role: agent, chnges: []}").unwrap_err().to_string();
        assert!(error.contains("chnges"), "{error}");
    }
}
