//! Loss on the network of the nodes themselves.
//!
//! Canary probes go from node to node and do not cross the subject, so their loss is noise of the machine. It is not where
//! the probers were on time and the subject changed on one of both nodes just before: then the subject may have cut the
//! network of the nodes, which is a finding and excuses no other loss.

use std::time::Duration;

use model::{Kind, Role};
use probe::attribution::Observed;
use probe::flow::FlowSpec;
use probe::noise::Noise;
use probe::outage::{Outage, outages};
use probe::sample::{FlowSamples, Sample};

/// The minimum duration of a loss. Shorter ones can be packets that the machine itself drops.
const LOSS: Duration = Duration::from_millis(100);

/// The subject must have changed at most this long before the loss began, or until [`AFTER`] after it.
const BEFORE: Duration = Duration::from_secs(5);

/// Events are observed up to this long after they happened.
const AFTER: Duration = Duration::from_secs(1);

/// Canary probes that were lost because of the subject, as far as can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostLoss {
    /// The canary flow.
    pub(super) flow: String,
    nodes: (String, String),
    from_ns: u64,
    to_ns: u64,
    probes: u64,
    event: String,
}

impl HostLoss {
    pub(super) fn summary(&self) -> String {
        let (client, server) = &self.nodes;
        let ms = (self.to_ns - self.from_ns) / 1_000_000;
        format!("host network, {client} to {server}: lost for at least {ms} ms, near {}", self.event)
    }

    pub(super) fn evidence(&self) -> String {
        format!(
            "{} probes between the nodes' own addresses were lost, which do not cross the subject; no prober was late then",
            self.probes
        )
    }

    fn covers(&self, flow: &FlowSpec, sample: &Sample) -> bool {
        // An outage begins and ends when its probes were sent, and not when they were due.
        let sent_ns = sample.due_ns + u64::from(sample.sent_us.unwrap_or(0)) * 1_000;
        flow.id == self.flow && (self.from_ns..=self.to_ns).contains(&sent_ns)
    }
}

/// Finds the noise of a measurement, and the losses on the network of the nodes that are none.
pub(super) fn noise_and_losses(
    flows: &[FlowSamples],
    (from_ns, to_ns): (u64, u64),
    seen: &[Observed],
) -> (Noise, Vec<HostLoss>) {
    let noise = Noise::of(flows, from_ns, to_ns);
    let canaries = flows.iter().filter(|flow| flow.flow.kind == Kind::Canary);
    let losses: Vec<_> = canaries.flat_map(|flow| losses(flow, (from_ns, to_ns), &noise, seen)).collect();
    if losses.is_empty() {
        return (noise, losses);
    }
    let caused = |flow: &FlowSpec, sample: &Sample| losses.iter().any(|loss| loss.covers(flow, sample));
    (Noise::without(flows, from_ns, to_ns, caused), losses)
}

fn losses(flow: &FlowSamples, window: (u64, u64), noise: &Noise, seen: &[Observed]) -> Vec<HostLoss> {
    let all = outages(&flow.flow, flow.window(window.0, window.1), noise);
    let loss = |outage: Outage| {
        let (from_ns, to_ns) = (outage.first_bad_ns, outage.last_bad_ns);
        let long = u128::from(to_ns - from_ns) >= LOSS.as_nanos();
        if !long || noise.is_late(from_ns, to_ns) {
            return None;
        }
        Some(HostLoss {
            flow: flow.flow.id.clone(),
            nodes: (flow.flow.client.node.clone(), flow.flow.server.node.clone()),
            from_ns,
            to_ns,
            probes: outage.samples,
            event: event_near(&flow.flow, from_ns, seen)?,
        })
    };
    all.into_iter().filter_map(loss).collect()
}

/// The last change of the subject on one of the flow's nodes near the beginning of a loss.
fn event_near(flow: &FlowSpec, began_ns: u64, seen: &[Observed]) -> Option<String> {
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let near = began_ns.saturating_sub(ns(BEFORE))..=began_ns.saturating_add(ns(AFTER));
    let of_subject = |event: &&Observed| {
        let node = event.node.as_ref();
        matches!(event.role, Role::Agent | Role::Proxy | Role::Config)
            && near.contains(&event.at_ns)
            && node.is_none_or(|node| *node == flow.client.node || *node == flow.server.node)
    };
    let event = seen.iter().filter(of_subject).min_by_key(|event| event.at_ns.abs_diff(began_ns))?;
    let node = event.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    Some(format!("{} {}{node}", event.role, event.change))
}

#[cfg(test)]
mod tests {
    use model::{Change, Class};
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const PERIOD: u64 = 10_000_000;
    const SECOND: u64 = 1_000_000_000;

    /// A canary that is lost from 1 s on for some probes of 10 ms; one of them is `late`.
    fn canary(lost: u32, late: bool) -> FlowSamples {
        let flow = json!({
            "id": "canary/node1-node2", "kind": "canary", "protocol": "udp", "layer": "canary",
            "client": {"pod": "client", "node": "node1"}, "server": {"pod": "server", "node": "node2"},
            "path": {"place": "cross-node", "via": "host-ip", "policy": "no-policy"},
            "port": 7001, "period_ns": PERIOD, "slow_ns": 50_000_000, "deadline_ns": 300_000_000,
            "expect": "answered",
        });
        let sample = |seq: u32| Sample {
            seq,
            due_ns: u64::from(seq) * PERIOD,
            class: if (100..100 + lost).contains(&seq) { Class::Lost } else { Class::Answered },
            late_us: if late && seq == 105 { 90_000 } else { 50 },
            sent_us: Some(50),
            ended_us: None,
            cut: false,
        };
        FlowSamples {
            flow: serde_json::from_value(flow).unwrap(),
            start_ns: 0,
            samples: (0..300).map(sample).collect(),
            fault: None,
        }
    }

    fn event(role: Role, node: &str, at_ns: u64) -> Observed {
        let node = Some(node.to_owned());
        Observed { at_ns, node, role, object: "pod a".to_owned(), change: Change::Deleted, detail: None }
    }

    #[rstest]
    #[case::subject(20, false, event(Role::Agent, "node2", SECOND / 2), true)]
    #[case::observed_later(20, false, event(Role::Proxy, "node1", SECOND + SECOND / 2), true)]
    #[case::other_node(20, false, event(Role::Agent, "node3", SECOND / 2), false)]
    #[case::not_of_the_subject(20, false, event(Role::Probe, "node2", SECOND / 2), false)]
    #[case::much_later(20, false, event(Role::Agent, "node2", 3 * SECOND), false)]
    #[case::short(5, false, event(Role::Agent, "node2", SECOND / 2), false)]
    #[case::late_prober(20, true, event(Role::Agent, "node2", SECOND / 2), false)]
    fn a_canary_that_the_subject_cuts_is_a_finding_and_no_noise(
        #[case] lost: u32,
        #[case] late: bool,
        #[case] event: Observed,
        #[case] found: bool,
    ) {
        let (noise, losses) = noise_and_losses(&[canary(lost, late)], (0, 3 * SECOND), &[event]);
        assert_eq!(losses.len(), usize::from(found), "{losses:?}");
        assert_eq!(noise.covers(SECOND + 100_000_000, SECOND + 100_000_000), !found || late);
        if let Some(loss) = losses.first() {
            assert!(
                loss.summary().starts_with("host network, node1 to node2: lost for at least 190 ms, near")
            );
        }
    }
}
