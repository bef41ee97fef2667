//! Known hazards, and which of them concern this hop, this ConfigMap and these policies.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configmap::ConfigMap;
use crate::data::{self, Confidence, Minors};
use crate::kernel::Kernel;
use crate::policy::Feature;
use model::{Minor, Version};

/// What is known about the cluster; anything may be unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Its ConfigMap.
    pub config: Option<&'a ConfigMap>,
    /// Features that its policies use.
    pub policies: Option<&'a BTreeSet<Feature>>,
    /// Oldest kernel of its nodes.
    pub kernel: Option<Kernel>,
    /// Minor of its Kubernetes.
    pub kubernetes: Option<Minor>,
    /// Newest version that ran on it before.
    pub previously: Option<Minor>,
    /// Versions that can be had, where not every release can: the stops on the way are chosen among these.
    pub available: Option<&'a BTreeSet<Version>>,
}

/// Something that can go wrong on a hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hazard {
    /// Its name.
    pub id: String,
    /// Whether it is known to concern this cluster.
    pub applies: Applies,
    /// What traffic or people feel.
    pub feels: String,
    /// What to do about it.
    pub remedy: String,
    /// The scenario that shows it.
    pub scenario: Option<String>,
    /// Where this was read.
    pub source: String,
    /// How sure it is.
    pub confidence: Confidence,
}

/// Whether a hazard concerns a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Applies {
    /// It does.
    Yes,
    /// It may: something that decides it is not known.
    Perhaps,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    id: String,
    hop: Hop,
    #[serde(default)]
    when: Vec<Condition>,
    feels: String,
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

static ENTRIES: LazyLock<Vec<Entry>> =
    LazyLock::new(|| data::load("hazards.yaml", include_str!("../data/hazards.yaml")));

/// Returns the names of all hazards, in order, each once.
pub fn hazard_ids() -> BTreeSet<&'static str> {
    ENTRIES.iter().map(|entry| entry.id.as_str()).collect()
}

/// Returns what to do about a hazard, by its name.
pub fn hazard_remedy(id: &str) -> Option<&'static str> {
    ENTRIES.iter().find(|entry| entry.id == id).map(|entry| entry.remedy.as_str())
}

/// Returns the names of the scenarios that show hazards, in order, each once.
pub fn hazard_scenarios() -> BTreeSet<&'static str> {
    ENTRIES.iter().filter_map(|entry| entry.scenario.as_deref()).collect()
}

/// Returns the hazards of a hop that concern a cluster or may do so.
pub(crate) fn hazards(from: &Version, to: &Version, facts: &Facts<'_>) -> Vec<Hazard> {
    let on_the_way = ENTRIES.iter().filter(|entry| entry.hop.matches(from.minor(), to.minor()));
    on_the_way
        .filter_map(|entry| {
            let known: Vec<_> = entry.when.iter().map(|condition| condition.holds(to, facts)).collect();
            if known.contains(&Some(false)) {
                return None;
            }
            let applies = if known.contains(&None) { Applies::Perhaps } else { Applies::Yes };
            Some(Hazard {
                id: entry.id.clone(),
                applies,
                feels: entry.feels.clone(),
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
    /// Tells whether it holds, if that is known.
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
    fn what_is_not_known_may_apply() {
        let found = ids("1.5.13", "1.6.4", &Facts::default());
        assert!(found.contains(&("proxy-restart".to_owned(), Applies::Perhaps)));
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
