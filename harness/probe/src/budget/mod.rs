//! Judges the outages of a flow in a transition. Pure; the numbers are data (`budgets.yaml`).

mod restart;

use model::{Impact, Layer};
use serde::{Deserialize, Deserializer, de};

pub use restart::Restart;

use crate::flow::FlowSpec;
use crate::outage::{Outage, Outages, SHORT_GAP_NS};

/// Restarts are observed late: an outage that begins this long before one still belongs to it, ns.
const SEEN_LATE_NS: u64 = 2_500_000_000;
/// An agent that is not ready this long after it went is down and no longer restarting, ns.
const DOWN_NS: u64 = 60_000_000_000;

/// The impact of a transition, as the upgrade guide states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impacts {
    /// The impact on L3 and L4.
    pub l3: Impact,
    /// The impact on L7.
    pub l7: Impact,
}

/// What a flow may lose.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    #[serde(deserialize_with = "judged_layer")]
    layer: Layer,
    /// The impact that the budget is for; absent for any.
    #[serde(default, rename = "words", deserialize_with = "wording")]
    impact: Option<Impact>,
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

/// Whether a flow stayed inside its budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The guide's wording of the impact, or `never` for traffic that policy must block.
    pub impact: String,
    /// The budget as a sentence.
    pub rule: String,
    /// The measurement as a sentence.
    pub measured: String,
    /// Whether the flow stayed inside its budget; `None` when it is not judged, or when the answer depends on doubtful
    /// samples.
    pub kept: Option<bool>,
    /// Whether the answer depends on doubtful samples: it is not the same in the best and the worst case.
    pub noisy: bool,
    /// One sentence for each violation that is certain.
    pub violations: Vec<String>,
}

/// The rule of a flow for which the guide states no impact.
const NOT_JUDGED: &str = "measured, not judged";

fn yes() -> bool {
    true
}

/// Reads the layer of a budget; L4 has no budget of its own, and the canary is never judged.
fn judged_layer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Layer, D::Error> {
    match Layer::deserialize(deserializer)? {
        Layer::L4 => Err(de::Error::custom("L4 has no budget of its own: write L3, which is for both")),
        Layer::Canary => Err(de::Error::custom("the canary is not judged: remove its budget")),
        layer => Ok(layer),
    }
}

fn wording<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Impact>, D::Error> {
    model::wording::deserialize(deserializer).map(Some)
}

impl Budgets {
    /// Returns the budgets that come with the program.
    ///
    /// # Panics
    ///
    /// Never: a test reads them.
    #[must_use]
    pub fn standard() -> Self {
        Self::parse(include_str!("../../budgets.yaml")).expect("budgets.yaml is read by a test")
    }

    /// Reads budgets from YAML; unknown keys are errors.
    ///
    /// # Errors
    ///
    /// When the text cannot be read, or holds an unknown layer or wording; the message has the line and column.
    pub fn parse(yaml: &str) -> Result<Self, BudgetsError> {
        serde_saphyr::from_str(yaml).map_err(|error| BudgetsError(error.to_string()))
    }

    /// Returns the budget of a layer as a sentence; `None` when no budget is for this impact.
    #[must_use]
    pub fn rule(&self, layer: Layer, impact: Impact) -> Option<String> {
        self.of(layer, Some(impact)).map(Budget::rule)
    }

    fn of(&self, layer: Layer, impact: Option<Impact>) -> Option<&Budget> {
        self.0
            .iter()
            .find(|budget| budget.layer == layer && (budget.impact.is_none() || budget.impact == impact))
    }

    /// Judges the outages of a flow in one transition; `restarts` are those of the whole cluster.
    #[must_use]
    pub fn judge(
        &self,
        flow: &FlowSpec,
        outages: &Outages,
        impacts: Impacts,
        restarts: &[Restart],
    ) -> Judgement {
        let (layer, impact) = match flow.layer {
            Layer::L3 | Layer::L4 => (Layer::L3, Some(impacts.l3)),
            Layer::L7 => (Layer::L7, Some(impacts.l7)),
            layer @ (Layer::Policy | Layer::Canary | Layer::Control) => (layer, None),
        };
        let path: Vec<_> =
            restarts.iter().filter(|restart| flow.nodes().any(|n| n == restart.node)).collect();
        let judgement = Judgement {
            impact: match (impact, layer) {
                (Some(impact), _) => impact.wording().into(),
                (None, Layer::Control) => "only while agents restart".into(),
                (None, _) => "never".into(),
            },
            rule: NOT_JUDGED.into(),
            measured: measured(outages, path.len()),
            kept: None,
            noisy: false,
            violations: Vec::new(),
        };
        match self.of(layer, impact).filter(|budget| budget.judged) {
            Some(budget) => budget.judge(judgement, flow, outages, &path),
            None => judgement,
        }
    }
}

impl Budget {
    /// Decides where the best and the worst case of all doubtful samples agree.
    fn judge(
        &self,
        judgement: Judgement,
        flow: &FlowSpec,
        outages: &Outages,
        restarts: &[&Restart],
    ) -> Judgement {
        let without_noise: Vec<_> = outages.measured.iter().filter_map(Outage::without_noise).collect();
        let [clear, best, worst] =
            [&without_noise, &outages.best, &outages.worst].map(|it| self.violations(flow, it, restarts));
        // Doubtful samples amid an outage may have been good: what is left must still be too much.
        let violations = if best.is_empty() { Vec::new() } else { clear.clone() };
        let noisy = violations.is_empty() && !(clear.is_empty() && worst.is_empty());
        Judgement {
            rule: self.rule(),
            kept: (!noisy).then_some(violations.is_empty()),
            noisy,
            violations,
            ..judgement
        }
    }

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
        // The probe of a new pod lasts as long as the pod waits for its network.
        let lasts_ns = if flow.layer == Layer::Control { flow.deadline_ns } else { 0 };
        let counted: Vec<_> =
            outages.iter().filter(|outage| !self.is_free(outage, lasts_ns, restarts)).collect();
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
            let what = if flow.layer == Layer::Policy { "leaks" } else { "outages" };
            violations.push(format!("{}: {count} {what}, {limit} allowed", flow.id));
        }
        violations
    }

    /// Returns whether an outage lies where the budget allows any: around a restart, until the agent has recovered. When
    /// the agents of both ends restart and the second goes before the flow must have recovered from the first, the outage
    /// may last through both. The first probe of the outage lasts for `lasts_ns`, and a restart in that time counts.
    fn is_free(&self, outage: &Outage, lasts_ns: u64, restarts: &[&Restart]) -> bool {
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
        let first_ns = outage.first_bad_ns;
        let within = free.iter().position(|(from, until)| *from <= first_ns + lasts_ns && first_ns <= *until);
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
            format!(", besides those around an agent restart until {ms} ms after it is ready")
        });
        if self.outages == 0 {
            return format!("none{around}");
        }
        format!(
            "at most {} outages, {} ms each, {} ms together{around}; {} cut connections per agent restart on \
             the flow's nodes",
            self.outages, self.longest_outage_ms, self.total_outage_ms, self.cuts_per_restart
        )
    }
}

fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}

fn measured(outages: &Outages, restarts: usize) -> String {
    let gap = match outages.longest_gap_ns {
        ns if ns > SHORT_GAP_NS => format!(", probes unusable for {} ms", ms(ns)),
        _ => String::new(),
    };
    let measured = &outages.measured;
    let Some(longest) = measured.iter().max_by_key(|outage| outage.min_ns()) else {
        return format!("no outage, {restarts} agent restarts on its nodes{gap}");
    };
    let cuts: u64 = measured.iter().map(|outage| outage.connections_cut).sum();
    let total: u64 = measured.iter().map(|outage| ms(outage.min_ns())).sum();
    let least = ms(longest.min_ns());
    let most = longest.max_ns().map_or("open".into(), |max| format!("{} ms", ms(max)));
    format!(
        "{} outages, longest {least} ms – {most}, at least {total} ms together, {cuts} connections cut, \
         {restarts} agent restarts on its nodes{gap}",
        measured.len()
    )
}

#[cfg(test)]
mod tests;
