//! Known hazards, and which of them apply to a hop of a given cluster.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{self, Confidence, Minors};
use crate::facts::Facts;
use crate::kernel::Kernel;
use crate::policy::Feature;
use model::{Minor, Version};

/// A known risk of a hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hazard {
    /// Its name.
    pub id: String,
    /// Whether it applies to this cluster.
    pub applies: Applies,
    /// The effect on traffic or on operators.
    #[serde(rename = "feels")]
    pub effect: String,
    /// The remedy.
    pub remedy: String,
    /// The scenario that reproduces it.
    pub scenario: Option<String>,
    /// Where this was read.
    pub source: String,
    /// How certain it is.
    pub confidence: Confidence,
}

/// Whether a hazard applies to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Applies {
    /// It applies.
    Yes,
    /// It may apply: a fact that decides it is unknown.
    #[serde(rename = "perhaps")]
    Possible,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    id: String,
    hop: Hop,
    #[serde(default)]
    when: Vec<Condition>,
    effect: String,
    remedy: String,
    scenario: Option<String>,
    source: String,
    confidence: Confidence,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Hop {
    Word(AnyHop),
    Crosses(Crosses),
    BackOver(BackOver),
    MicroIn(MicroIn),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum AnyHop {
    Any,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Crosses {
    crosses: Minor,
    from: Option<Minors>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BackOver {
    back_over: Minor,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MicroIn {
    micro_in: Minors,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Condition {
    Config(ConfigTest),
    Policy(Feature),
    KernelUpTo(#[schemars(with = "String")] Kernel),
    KubernetesFrom(Minor),
    Previously(Minor),
    ToBefore(Version),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConfigTest {
    key: String,
    #[serde(default)]
    absent: bool,
    #[serde(default)]
    present: bool,
    is: Option<Vec<String>>,
    not: Option<Vec<String>>,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| data::embedded!("hazards"));

/// Returns the names of all hazards, in order, each once.
pub fn hazard_ids() -> BTreeSet<&'static str> {
    ENTRIES.iter().map(|entry| entry.id.as_str()).collect()
}

/// Returns the remedy of a hazard, by its name.
pub fn hazard_remedy(id: &str) -> Option<&'static str> {
    ENTRIES.iter().find(|entry| entry.id == id).map(|entry| entry.remedy.as_str())
}

/// Returns the names of the scenarios that reproduce hazards, in order, each once.
pub fn hazard_scenarios() -> BTreeSet<&'static str> {
    ENTRIES.iter().filter_map(|entry| entry.scenario.as_deref()).collect()
}

/// Returns the hazards of a hop that apply, or may apply, to a cluster.
pub(crate) fn hazards(from: &Version, to: &Version, facts: &Facts<'_>) -> Vec<Hazard> {
    let on_this_hop = ENTRIES.iter().filter(|entry| entry.hop.matches(from.minor(), to.minor()));
    on_this_hop
        .filter_map(|entry| {
            let known: Vec<_> = entry.when.iter().map(|condition| condition.holds(to, facts)).collect();
            if known.contains(&Some(false)) {
                return None;
            }
            let applies = if known.contains(&None) { Applies::Possible } else { Applies::Yes };
            Some(Hazard {
                id: entry.id.clone(),
                applies,
                effect: entry.effect.clone(),
                remedy: entry.remedy.clone(),
                scenario: entry.scenario.clone(),
                source: entry.source.clone(),
                confidence: entry.confidence,
            })
        })
        .collect()
}

impl Hop {
    fn matches(&self, from: Minor, to: Minor) -> bool {
        match self {
            Self::Word(AnyHop::Any) => true,
            Self::Crosses(hop) => {
                let starts = hop.from.as_ref().is_none_or(|minors| minors.contains(&from));
                starts && from < hop.crosses && hop.crosses <= to
            }
            Self::BackOver(hop) => to < hop.back_over && hop.back_over <= from,
            Self::MicroIn(hop) => from == to && hop.micro_in.contains(&from),
        }
    }
}

impl Condition {
    /// Tells whether the condition holds; `None` if that is unknown.
    fn holds(&self, to: &Version, facts: &Facts<'_>) -> Option<bool> {
        match self {
            Self::Config(test) => facts.config.map(|config| test.holds(config.get(&test.key))),
            Self::Policy(feature) => facts.policies.map(|policies| policies.contains(feature)),
            Self::KernelUpTo(last) => facts.kernel.map(|kernel| kernel <= *last),
            Self::KubernetesFrom(first) => facts.kubernetes.map(|kubernetes| kubernetes >= *first),
            Self::Previously(first) => facts.previously.map(|previously| previously >= *first),
            Self::ToBefore(version) => Some(to < version),
        }
    }
}

impl ConfigTest {
    fn holds(&self, value: Option<&str>) -> bool {
        let within = |values: &[String]| value.is_some_and(|value| values.iter().any(|one| one == value));
        let absent = !self.absent || value.is_none();
        let is = self.is.as_ref().is_none_or(|values| within(values));
        let present = !self.present || value.is_some();
        let not = self.not.as_ref().is_none_or(|values| !within(values));
        absent && present && is && not
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configmap::ConfigMap;
    use rstest::rstest;

    fn ids(from: &str, to: &str, facts: &Facts<'_>) -> Vec<(String, Applies)> {
        let found = hazards(&from.parse().unwrap(), &to.parse().unwrap(), facts);
        found.into_iter().map(|hazard| (hazard.id, hazard.applies)).collect()
    }

    #[rstest]
    #[case::missing("debug: 'false'", true)]
    #[case::there("kvstore: etcd", false)]
    fn judges_by_the_configmap(#[case] line: &str, #[case] expected: bool) {
        let config = ConfigMap::read(&format!("kind: ConfigMap\ndata:\n  {line}\n")).unwrap();
        let facts = Facts { config: Some(&config), ..Facts::default() };
        let found = ids("1.5.13", "1.6.4", &facts).contains(&("kvstore-keys".to_owned(), Applies::Yes));
        assert_eq!(found, expected);
    }

    #[test]
    fn an_unknown_fact_makes_a_hazard_possible() {
        let found = ids("1.5.13", "1.6.4", &Facts::default());
        assert!(found.contains(&("proxy-restart".to_owned(), Applies::Possible)));
        let none = BTreeSet::new();
        let found = ids("1.5.13", "1.6.4", &Facts { policies: Some(&none), ..Facts::default() });
        assert!(!found.iter().any(|(id, _)| id == "proxy-restart"));
    }

    #[rstest]
    #[case::crosses_from_below("1.2.8", "1.5.13", "dns-polling", true)]
    #[case::only_from_1_4("1.2.8", "1.5.13", "ct-table-size", false)]
    #[case::from_1_4("1.4.10", "1.5.13", "ct-table-size", true)]
    #[case::not_downwards("1.5.13", "1.4.10", "ct-table-size", false)]
    #[case::back("1.6.4", "1.5.13", "identity-mode-rollback", true)]
    #[case::micro("1.6.3", "1.6.4", "init-image", true)]
    #[case::old_target("1.2.8", "1.1.3", "conntrack-dump", true)]
    #[case::good_target("1.2.8", "1.1.6", "conntrack-dump", false)]
    fn matches_hops(#[case] from: &str, #[case] to: &str, #[case] id: &str, #[case] expected: bool) {
        let found = ids(from, to, &Facts::default());
        assert_eq!(found.iter().any(|(found, _)| found == id), expected);
    }
}
