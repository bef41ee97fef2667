//! The time at which a policy takes effect on each node, measured by traffic.
//!
//! A node whose agent is away when a policy is written enforces the old policy until its agent is back. That time is read
//! from flows through the agent's own process, which fail while it is away.

use model::{Change, Role};
use report::run::{Flow, Outage, Run};
use schemars::JsonSchema;
use serde::Deserialize;

use super::pattern::Pattern;

/// Tolerance for simultaneous events, ms.
const SLACK_MS: f64 = 500.0;

/// A policy that blocks flows. On each node it must take effect when it is written, or, where the agent is away then, when
/// the agent is back. When the policy is removed, the flows must recover. The agent of at least one node must have been
/// away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Effect {
    /// Name of the policy.
    pub policy: String,
    /// The flows that it blocks at the server's node.
    pub cuts: Pattern,
    /// Flows that fail while the agent of the server's node is away.
    pub agent_answers: Pattern,
}

/// The state of a node's agent at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Agent {
    There,
    /// It was back between these two times, ms; `surely` away, or possibly only shortly afterwards.
    Away {
        back: (f64, f64),
        surely: bool,
    },
    NeverBack,
}

impl Effect {
    /// Returns what is not as expected.
    pub(super) fn judge(&self, run: &Run) -> Vec<String> {
        let about = |why: String| format!("policy {}: {why}", self.policy);
        let Some(written) = self.seen(run, Change::Written) else {
            return vec![about("it was never written".to_owned())];
        };
        let cut: Vec<_> = run.flows.iter().filter(|flow| self.cuts.fits_flow(flow)).collect();
        if cut.is_empty() {
            return vec![about(format!("no flow is {}", self.cuts))];
        }
        let removed = self.seen(run, Change::Removed);
        let mut wrong = Vec::new();
        let mut away = false;
        for flow in cut {
            let agent = self.agent(run, &flow.server_node, written);
            away |= matches!(agent, Agent::Away { surely: true, .. });
            wrong.extend(taken(flow, written, agent).err());
            wrong.extend(removed.and_then(|removed| lifted(flow, written, removed).err()));
        }
        if !away {
            wrong.push("no agent was away when it was written".to_owned());
        }
        wrong.into_iter().map(about).collect()
    }

    fn seen(&self, run: &Run, change: Change) -> Option<f64> {
        let object = format!("policy {}", self.policy);
        let fits = |o: &&report::run::TimedObservation| {
            o.what.role == Role::Policy && o.what.object == object && o.what.change == change
        };
        run.observations.iter().find(fits).map(|observation| observation.at_ms)
    }

    /// The state of a node's agent at `at`, by the flows that it serves.
    fn agent(&self, run: &Run, node: &str, at: f64) -> Agent {
        let flows = run.flows.iter().filter(|flow| flow.server_node == node);
        let outages = flows.filter(|flow| self.agent_answers.fits_flow(flow)).flat_map(|flow| &flow.outages);
        let around =
            |outage: &&Outage| began(outage).0 <= at && outage.first_good_ms.is_none_or(|end| at < end);
        match outages.into_iter().find(around) {
            None => Agent::There,
            Some(outage) => match outage.first_good_ms {
                None => Agent::NeverBack,
                Some(good) => {
                    Agent::Away { back: (outage.last_bad_ms, good), surely: outage.first_bad_ms <= at }
                }
            },
        }
    }
}

/// The bounds on the start of an outage.
fn began(outage: &Outage) -> (f64, f64) {
    (outage.last_good_ms.unwrap_or(outage.first_bad_ms), outage.first_bad_ms)
}

/// Whether two intervals overlap, with a tolerance of [`SLACK_MS`].
fn meet(one: (f64, f64), other: (f64, f64)) -> bool {
    one.0 <= other.1 + SLACK_MS && other.0 <= one.1 + SLACK_MS
}

fn by_the_policy(flow: &Flow, written: f64) -> Option<&Outage> {
    flow.outages
        .iter()
        .filter(|outage| outage.first_bad_ms >= written)
        .max_by(|a, b| a.samples.cmp(&b.samples))
}

fn taken(flow: &Flow, written: f64, agent: Agent) -> Result<(), String> {
    let Some(outage) = by_the_policy(flow, written) else {
        return Err(format!("{} was not blocked", flow.id));
    };
    let began = began(outage);
    let at_once = meet(began, (written, written));
    let (kept, when) = match agent {
        Agent::There => (at_once, format!("it was written at {written:.0} ms, and the agent was there")),
        Agent::NeverBack => (false, "the agent was away and never came back".to_owned()),
        Agent::Away { back, surely } => {
            let kept = meet(began, back) || (at_once && !surely);
            (kept, format!("the agent was back at {:.0} to {:.0} ms", back.0, back.1))
        }
    };
    if kept {
        return Ok(());
    }
    Err(format!("{} was blocked at {:.0} to {:.0} ms, but {when}", flow.id, began.0, began.1))
}

fn lifted(flow: &Flow, written: f64, removed: f64) -> Result<(), String> {
    // Without an outage, something was said already.
    let Some(outage) = by_the_policy(flow, written) else { return Ok(()) };
    match outage.first_good_ms {
        Some(good) if meet((outage.last_bad_ms, good), (removed, removed)) => Ok(()),
        Some(good) => {
            Err(format!("{} recovered at {good:.0} ms, but it was removed at {removed:.0} ms", flow.id))
        }
        None => Err(format!("{} did not recover, but the policy was removed at {removed:.0} ms", flow.id)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn flow(id: &str, layer: &str, node: &str, outage: Option<[f64; 4]>) -> Value {
        let outages: Vec<_> = outage
            .map(|[last_good, first_bad, last_bad, first_good]| {
                json!({
                    "class": "lost", "samples": 9, "min_ms": 1.0, "max_ms": null, "last_good_ms": last_good,
                    "first_bad_ms": first_bad, "last_bad_ms": last_bad,
                    "first_good_ms": (first_good > 0.0).then_some(first_good), "connections_cut": 0,
                    "step": null, "attribution": null,
                })
            })
            .into_iter()
            .collect();
        json!({
            "id": id, "kind": "packet", "protocol": "icmp", "path": "", "layer": layer, "client": "", "server": "",
            "client_node": "node1", "server_node": node, "period_ms": 10.0, "window_ms": [0.0, 1.0],
            "planned": 1, "sent": 1, "answered": 1, "lost": 0, "classes": {}, "latency_ms": null,
            "outages": outages,
        })
    }

    /// The policy is written at 1000 and removed at 9000; the agent of node1 is away from 500 to 3000, that of node2
    /// stays. `cut` is what the flow to node1 lost, `other` that to node2.
    fn judge(cut: Option<[f64; 4]>, other: Option<[f64; 4]>, away: Option<[f64; 4]>) -> Vec<String> {
        let seen = |at_ms: f64, change: &str| json!({"at_ms": at_ms, "node": null, "role": "policy", "object": "policy p", "change": change, "detail": null});
        let record = json!({
            "schema": "seatrial/run/v1", "id": "r", "seatrial": "0", "started": "", "elapsed_ms": 1.0,
            "verdict": "failed", "reason": "", "exit_code": 1, "subject": "x",
            "provider": {"name": "sandbox", "kubernetes": "", "nodes": []}, "path": [], "steps": [],
            "noise": {"canary_clean": true, "canary_lost": 0, "lateness_p50_us": 0.0, "lateness_p99_us": 0.0, "lateness_max_us": 0.0},
            "flows": [
                flow("near", "L3", "node1", cut), flow("far", "L3", "node2", other),
                flow("proxied-near", "L7", "node1", away), flow("proxied-far", "L7", "node2", None),
            ],
            "observations": [seen(1000.0, "written"), seen(9000.0, "removed")], "findings": [], "budgets": [],
        });
        let effect: Effect =
            serde_saphyr::from_str("{policy: p, cuts: {layer: L3}, agent-answers: {layer: L7}}").unwrap();
        effect.judge(&serde_json::from_value(record).unwrap())
    }

    const AWAY: [f64; 4] = [450.0, 550.0, 2950.0, 3050.0];
    const WHEN_BACK: [f64; 4] = [2900.0, 3100.0, 9000.0, 9200.0];
    const AT_ONCE: [f64; 4] = [900.0, 1100.0, 9000.0, 9200.0];
    const FOR_EVER: [f64; 4] = [2900.0, 3100.0, 12000.0, 0.0];
    const TOO_SOON: [f64; 4] = [2900.0, 3100.0, 5000.0, 5200.0];

    #[rstest]
    #[case::as_promised(Some(WHEN_BACK), Some(AT_ONCE), Some(AWAY), None)]
    #[case::while_away(
        Some(AT_ONCE),
        Some(AT_ONCE),
        Some(AWAY),
        Some("the agent was back at 2950 to 3050 ms")
    )]
    #[case::late_where_it_was_there(
        Some(WHEN_BACK),
        Some(WHEN_BACK),
        Some(AWAY),
        Some("and the agent was there")
    )]
    #[case::not_at_all(None, Some(AT_ONCE), Some(AWAY), Some("near was not blocked"))]
    #[case::nobody_was_away(Some(AT_ONCE), Some(AT_ONCE), None, Some("no agent was away"))]
    #[case::never_back(Some(WHEN_BACK), Some(AT_ONCE), Some([450.0, 550.0, 12000.0, 0.0]), Some("never came back"))]
    #[case::not_lifted(Some(FOR_EVER), Some(AT_ONCE), Some(AWAY), Some("near did not recover"))]
    #[case::lifted_by_itself(Some(TOO_SOON), Some(AT_ONCE), Some(AWAY), Some("near recovered at 5200 ms"))]
    fn a_policy_takes_effect_when_the_agent_is_there(
        #[case] cut: Option<[f64; 4]>,
        #[case] other: Option<[f64; 4]>,
        #[case] away: Option<[f64; 4]>,
        #[case] said: Option<&str>,
    ) {
        let wrong = judge(cut, other, away);
        assert_eq!(wrong.is_empty(), said.is_none(), "{wrong:?}");
        assert!(said.is_none_or(|said| wrong.iter().any(|line| line.contains(said))), "{wrong:?}");
    }

    /// An agent that may have ended just after the policy was written may have taken it, too.
    #[test]
    fn an_end_in_the_same_moment_leaves_both_possible() {
        let ending = [950.0, 1050.0, 2950.0, 3050.0];
        for cut in [AT_ONCE, WHEN_BACK] {
            let wrong = judge(Some(cut), Some(AT_ONCE), Some(ending));
            assert_eq!(wrong, ["policy p: no agent was away when it was written"]);
        }
    }
}
