//! Judges a flow by what it may lose in a transition. Pure; the numbers are data (`budgets.yaml`).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::attribution::Observed;
use crate::flow::{FlowSpec, Layer};
use crate::outage::Outage;

/// A restart is seen late: an outage that begins so long before it still belongs to it, ns.
const SEEN_LATE_NS: u64 = 2_500_000_000;
/// What is not ready so long after it went is down, and no longer restarting, ns.
const DOWN_NS: u64 = 60_000_000_000;

/// The guide's words for the impact of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words<'a> {
    /// For L3, such as `Minimal to None`.
    pub l3: &'a str,
    /// For L7, such as `Clients must reconnect`.
    pub l7: &'a str,
}

/// What a flow may lose.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    layer: Layer,
    words: Option<String>,
    #[serde(default = "yes")]
    judged: bool,
    #[serde(default)]
    longest_outage_ms: u64,
    #[serde(default)]
    total_outage_ms: u64,
    #[serde(default)]
    outages: u64,
    #[serde(default)]
    cuts_per_restart: u64,
    recovery_ms: Option<u64>,
}

/// All budgets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Budgets(Vec<Budget>);

/// Budgets that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the budgets cannot be read: {0}")]
pub struct BudgetsError(String);

/// A restart of a subject's pod on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Node.
    pub node: String,
    /// When it was seen to go.
    pub gone_ns: u64,
    /// When it was seen to be ready again; absent while it is not.
    pub ready_ns: Option<u64>,
}

/// How a flow kept its budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The guide's words, or `never` for what must be blocked.
    pub words: String,
    /// The numbers chosen for them, in words.
    pub rule: String,
    /// What was measured, in words.
    pub measured: String,
    /// Whether it was kept; `None` when it is not judged, or when the machine was too noisy to tell.
    pub kept: Option<bool>,
    /// True when something was left out of the judgement because the machine was noisy.
    pub noisy: bool,
    /// One sentence for each way in which it was broken.
    pub violations: Vec<String>,
}

/// What is said of a layer that the guide promises nothing for.
const NOT_JUDGED: &str = "measured, not judged";

fn yes() -> bool {
    true
}

impl Budgets {
    /// Returns the budgets that come with the program.
    ///
    /// # Panics
    ///
    /// Never: a test reads them.
    #[must_use]
    pub fn standard() -> Self {
        Self::parse(include_str!("../budgets.yaml")).expect("budgets.yaml is read by a test")
    }

    /// Reads budgets from YAML; unknown keys are errors.
    ///
    /// # Errors
    ///
    /// Names the line and column of what cannot be read.
    pub fn parse(yaml: &str) -> Result<Self, BudgetsError> {
        serde_saphyr::from_str(yaml).map_err(|error| BudgetsError(error.to_string()))
    }

    /// Says in words what a layer may lose for the guide's words; `None` where no budget is theirs.
    #[must_use]
    pub fn rule(&self, layer: Layer, words: &str) -> Option<String> {
        self.of(layer, words).map(Budget::rule)
    }

    fn of(&self, layer: Layer, words: &str) -> Option<&Budget> {
        self.0.iter().find(|budget| {
            let fits = |own: &String| own.eq_ignore_ascii_case(words);
            budget.layer == layer && budget.words.as_ref().is_none_or(fits)
        })
    }

    /// Judges the outages of a flow in one transition; `restarts` are those of the whole cluster.
    #[must_use]
    pub fn judge(
        &self,
        flow: &FlowSpec,
        outages: &[Outage],
        words: Words<'_>,
        restarts: &[Restart],
    ) -> Judgement {
        let (layer, words) = match flow.layer {
            Layer::L3 | Layer::L4 => (Layer::L3, words.l3),
            Layer::L7 => (Layer::L7, words.l7),
            layer @ (Layer::Policy | Layer::Canary) => (layer, "never"),
            Layer::Control => (Layer::Control, "only while agents restart"),
        };
        let words = words.split('[').next().unwrap_or(words).trim();
        let path: Vec<_> =
            restarts.iter().filter(|restart| flow.nodes().any(|n| n == restart.node)).collect();
        let Some(budget) = self.of(layer, words).filter(|budget| budget.judged) else {
            return Judgement {
                words: words.into(),
                rule: NOT_JUDGED.into(),
                measured: measured(outages, path.len()),
                kept: None,
                noisy: false,
                violations: Vec::new(),
            };
        };
        let clear: Vec<_> = outages.iter().filter_map(Outage::without_noise).collect();
        let violations = budget.violations(flow, &clear, &path);
        let doubtful = violations.is_empty() && !budget.violations(flow, outages, &path).is_empty();
        Judgement {
            words: words.into(),
            rule: budget.rule(),
            measured: measured(outages, path.len()),
            kept: (!doubtful).then_some(violations.is_empty()),
            noisy: clear != outages,
            violations,
        }
    }
}

impl Budget {
    fn violations(&self, flow: &FlowSpec, outages: &[Outage], restarts: &[&Restart]) -> Vec<String> {
        let mut violations = Vec::new();
        let cuts: u64 = outages.iter().map(|outage| outage.connections_cut).sum();
        let free_cuts = self.cuts_per_restart * restarts.len() as u64;
        if cuts > free_cuts {
            violations.push(format!(
                "{}: {cuts} held connections cut, {free_cuts} allowed for {} agent restarts on its nodes",
                flow.id,
                restarts.len()
            ));
        }
        let counted: Vec<_> = outages.iter().filter(|outage| !self.is_free(outage, restarts)).collect();
        for outage in &counted {
            if ms(outage.min_ns()) > self.longest_outage_ms {
                let (least, limit) = (ms(outage.min_ns()), self.longest_outage_ms);
                violations.push(format!(
                    "{}: {} for at least {least} ms, {limit} ms allowed",
                    flow.id, outage.class
                ));
            }
        }
        let total = counted.iter().map(|outage| ms(outage.min_ns())).sum::<u64>();
        if total > self.total_outage_ms {
            let limit = self.total_outage_ms;
            violations.push(format!("{}: {total} ms of outage in all, {limit} ms allowed", flow.id));
        }
        if counted.len() as u64 > self.outages {
            let (count, limit) = (counted.len(), self.outages);
            let what = if flow.layer == Layer::Policy { "holes" } else { "outages" };
            violations.push(format!("{}: {count} {what}, {limit} allowed", flow.id));
        }
        violations
    }

    /// Says whether an outage lies where the budget allows any: around a restart, until it has recovered. Where agents of
    /// both ends restart, and the second is gone before a flow can have recovered from the first, it may last through both.
    fn is_free(&self, outage: &Outage, restarts: &[&Restart]) -> bool {
        let Some(recovery_ms) = self.recovery_ms else { return false };
        let mut free: Vec<(u64, u64)> = restarts
            .iter()
            .map(|restart| {
                let until = match restart.ready_ns {
                    Some(ready) => ready + recovery_ms * 1_000_000,
                    None => restart.gone_ns + DOWN_NS,
                };
                (restart.gone_ns.saturating_sub(SEEN_LATE_NS), until)
            })
            .collect();
        free.sort_unstable();
        let within = free.iter().position(|(from, until)| (*from..=*until).contains(&outage.first_bad_ns));
        let Some(first) = within else { return false };
        let until = free[first..]
            .iter()
            .fold(free[first].1, |until, next| if next.0 <= until { until.max(next.1) } else { until });
        outage.last_bad_ns <= until
    }

    fn rule(&self) -> String {
        if !self.judged {
            return NOT_JUDGED.into();
        }
        let around = self.recovery_ms.map_or(String::new(), |ms| {
            format!(", besides those of an agent restart until {ms} ms after it is ready")
        });
        if self.outages == 0 {
            return format!("none at all{around}");
        }
        format!(
            "at most {} outages, {} ms each, {} ms together{around}; {} cut connections per agent restart on \
             the flow's nodes",
            self.outages, self.longest_outage_ms, self.total_outage_ms, self.cuts_per_restart
        )
    }
}

impl Restart {
    /// Reads the restarts of the objects of a role out of what was seen, in the order of `seen`.
    #[must_use]
    pub fn all(seen: &[Observed], role: &str) -> Vec<Self> {
        let mut restarts: Vec<Self> = Vec::new();
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for event in seen.iter().filter(|event| event.role == role) {
            let Some(node) = event.node.as_deref() else { continue };
            match (event.change.as_str(), open.get(node).copied()) {
                ("deleted" | "terminated", None) => {
                    open.insert(node, restarts.len());
                    restarts.push(Self { node: node.into(), gone_ns: event.at_ns, ready_ns: None });
                }
                ("ready", Some(index)) => {
                    restarts[index].ready_ns = Some(event.at_ns);
                    open.remove(node);
                }
                _ => {}
            }
        }
        restarts
    }
}

fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}

fn measured(outages: &[Outage], restarts: usize) -> String {
    let Some(longest) = outages.iter().max_by_key(|outage| outage.min_ns()) else {
        return format!("no outage, {restarts} agent restarts on its nodes");
    };
    let cuts: u64 = outages.iter().map(|outage| outage.connections_cut).sum();
    let total: u64 = outages.iter().map(|outage| ms(outage.min_ns())).sum();
    let least = ms(longest.min_ns());
    let most = longest.max_ns().map_or("open".into(), |max| format!("{} ms", ms(max)));
    format!(
        "{} outages, longest {least} ms – {most}, at least {total} ms together, {cuts} connections cut, \
         {restarts} agent restarts on its nodes",
        outages.len()
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::flow::tests::flow;
    use crate::flow::{Kind, Protocol};
    use crate::outage::Clear;
    use crate::sample::Class;

    const MS: u64 = 1_000_000;
    const WORDS: Words<'_> = Words { l3: "Minimal to None", l7: "Clients must reconnect[1]" };

    fn outage(at_ms: u64, length_ms: u64, cut: u64) -> Outage {
        let (first, last) = (at_ms * MS, (at_ms + length_ms) * MS);
        Outage {
            class: Class::Lost,
            samples: 1 + length_ms / 10,
            last_good_ns: Some(first - 10 * MS),
            first_bad_ns: first,
            last_bad_ns: last,
            first_good_ns: Some(last + 10 * MS),
            answered_ns: Some(last + 11 * MS),
            connections_cut: cut,
            clear: Some(Clear {
                samples: 1 + length_ms / 10,
                first_bad_ns: first,
                last_bad_ns: last,
                connections_cut: cut,
            }),
        }
    }

    fn restart(node: &str, gone_ms: u64, ready_ms: u64) -> Restart {
        Restart { node: node.into(), gone_ns: gone_ms * MS, ready_ns: Some(ready_ms * MS) }
    }

    #[rstest]
    #[case::clean(Layer::L3, vec![], true)]
    #[case::short(Layer::L4, vec![outage(10_000, 90, 0)], true)]
    #[case::long(Layer::L3, vec![outage(10_000, 110, 0)], false)]
    #[case::many(Layer::L3, (1..=5).map(|n| outage(n * 10_000, 0, 0)).collect(), false)]
    #[case::cut_l4(Layer::L4, vec![outage(10_000, 0, 1)], false)]
    #[case::l7_around_the_restart(Layer::L7, vec![outage(10_000, 3_000, 1)], true)]
    #[case::l7_too_long_after_ready(Layer::L7, vec![outage(10_000, 4_600, 1)], false)]
    #[case::l7_cut_twice(Layer::L7, vec![outage(10_000, 10, 1), outage(11_000, 10, 1)], false)]
    #[case::l7_far_from_any_restart(Layer::L7, vec![outage(30_000, 300, 0)], false)]
    #[case::new_pod_during_a_restart(Layer::Control, vec![outage(9_000, 0, 0)], true)]
    #[case::new_pod_at_any_other_time(Layer::Control, vec![outage(30_000, 0, 0)], false)]
    #[case::hole(Layer::Policy, vec![outage(10_000, 0, 0)], false)]
    #[case::no_hole(Layer::Policy, vec![], true)]
    fn judged(#[case] layer: Layer, #[case] outages: Vec<Outage>, #[case] kept: bool) {
        let flow = flow(Kind::Held, Protocol::Http, layer);
        let restarts = [restart("node2", 10_200, 12_500), restart("node9", 1_000, 2_000)];
        let judgement = Budgets::standard().judge(&flow, &outages, WORDS, &restarts);
        assert_eq!(judgement.kept, Some(kept), "{judgement:#?}");
        assert_eq!(judgement.violations.is_empty(), kept);
    }

    #[rstest]
    #[case::still_restarting(50_000, true)]
    #[case::down(70_000, false)]
    fn an_agent_that_never_comes_back_excuses_a_minute(#[case] length_ms: u64, #[case] kept: bool) {
        let flow = flow(Kind::New, Protocol::Http, Layer::L7);
        let gone = Restart { ready_ns: None, ..restart("node2", 10_000, 0) };
        let judgement = Budgets::standard().judge(&flow, &[outage(10_100, length_ms, 0)], WORDS, &[gone]);
        assert_eq!(judgement.kept, Some(kept), "{judgement:#?}");
    }

    #[rstest]
    #[case::gone_before_the_flow_recovered(12_700, true)]
    #[case::gone_when_it_must_have(20_000, false)]
    fn an_outage_may_last_through_the_restarts_of_both_ends(#[case] gone_ms: u64, #[case] kept: bool) {
        let flow = flow(Kind::New, Protocol::Http, Layer::L7);
        let restarts = [restart("node1", gone_ms, gone_ms + 2_500), restart("node2", 10_200, 12_500)];
        let through = outage(10_100, gone_ms + 2_600 - 10_100, 0);
        let judgement = Budgets::standard().judge(&flow, &[through], WORDS, &restarts);
        assert_eq!(judgement.kept, Some(kept), "{judgement:#?}");
    }

    #[test]
    fn not_applicable_is_reported_and_not_judged() {
        let flow = flow(Kind::Packet, Protocol::Udp, Layer::L3);
        let words = Words { l3: "N/A", l7: "N/A" };
        let judgement = Budgets::standard().judge(&flow, &[outage(1_000, 5_000, 0)], words, &[]);
        assert_eq!((judgement.kept, judgement.rule.as_str()), (None, "measured, not judged"));
        assert!(judgement.measured.contains("5000 ms"), "{}", judgement.measured);
    }

    #[test]
    fn what_only_noise_breaks_is_not_judged_and_what_is_clear_still_is() {
        let flow = flow(Kind::Packet, Protocol::Udp, Layer::L3);
        let noisy = Outage { clear: None, ..outage(1_000, 5_000, 0) };
        let judge = |outages: &[Outage]| Budgets::standard().judge(&flow, outages, WORDS, &[]);
        assert_eq!(
            (judge(std::slice::from_ref(&noisy)).kept, judge(std::slice::from_ref(&noisy)).noisy),
            (None, true)
        );
        assert_eq!(judge(&[noisy, outage(9_000, 5_000, 0)]).kept, Some(false));
    }

    #[test]
    fn restarts_are_paired_by_node() {
        let event = |at_ns, node: &str, change: &str| Observed {
            at_ns,
            node: Some(node.into()),
            role: "agent".into(),
            object: String::new(),
            change: change.into(),
            detail: None,
        };
        let seen = [
            event(0, "node1", "ready"),
            event(1, "node1", "deleted"),
            event(2, "node2", "terminated"),
            event(3, "node1", "terminated"),
            event(4, "node1", "ready"),
            event(5, "node1", "terminated"),
        ];
        let at = |node: &str, gone_ns, ready_ns| Restart { node: node.into(), gone_ns, ready_ns };
        let expected = [at("node1", 1, Some(4)), at("node2", 2, None), at("node1", 5, None)];
        assert_eq!(Restart::all(&seen, "agent"), expected);
    }
}
