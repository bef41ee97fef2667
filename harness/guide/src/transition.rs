//! The transition table of the guide: the listed hops and their impact on traffic.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::catalogue;
use crate::data::{self, Confidence, Minors};
use model::{Impact, Minor, Version, VersionSpec};

/// A row of the transition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whether the whole DaemonSet must be applied, not only a new image.
    pub daemonset_required: bool,
    /// Impact on layer 3 and 4.
    pub l3: Impact,
    /// Impact on traffic through a layer 7 proxy.
    pub l7: Impact,
    /// Where the row was read.
    pub source: String,
    /// How certain it is.
    pub confidence: Confidence,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    listed: Vec<Listed>,
    consecutive: Consecutive,
    micro: Vec<Micro>,
    full_manifests: Vec<FullManifests>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[schemars(with = "String")]
    from: From,
    to: Minor,
    daemonset_required: bool,
    l3: Impact,
    l7: Impact,
    source: String,
    confidence: Confidence,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Consecutive {
    from: Minor,
    daemonset_required: bool,
    l3: Impact,
    l7: Impact,
    source: String,
    confidence: Confidence,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Micro {
    minors: Minors,
    l3: Impact,
    l7: Impact,
    source: String,
    confidence: Confidence,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullManifests {
    patch: Version,
    source: String,
    confidence: Confidence,
}

/// The source of a listed hop: `1.5.x`, or `>=1.2.5` for that release and everything later.
enum From {
    Minor(Minor),
    AtLeast(Version),
}

impl From {
    fn matches(&self, version: &Version) -> bool {
        match self {
            Self::Minor(minor) => version.minor() == *minor,
            Self::AtLeast(lowest) => version >= lowest,
        }
    }
}

impl<'de> Deserialize<'de> for From {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(lowest) = text.strip_prefix(">=") {
            return lowest.parse().map(Self::AtLeast).map_err(de::Error::custom);
        }
        match text.parse().map_err(de::Error::custom)? {
            VersionSpec::Latest(minor) => Ok(Self::Minor(minor)),
            VersionSpec::Exact(_) => Err(de::Error::custom(format!("{text}: write 1.5.x or >=1.5.0"))),
        }
    }
}

static TABLE: LazyLock<Table> = LazyLock::new(|| data::embedded!("transitions"));

/// Returns the row of an upgrade between two minors; `None` if the guide does not list it.
pub(crate) fn listed(from: &Version, to: &Version) -> Option<Row> {
    let (old, new) = (from.minor(), to.minor());
    if old >= new {
        return None;
    }
    if let Some(row) = TABLE.listed.iter().find(|row| row.to == new && row.from.matches(from)) {
        return Some(Row {
            daemonset_required: row.daemonset_required,
            l3: row.l3,
            l7: row.l7,
            source: row.source.clone(),
            confidence: row.confidence,
        });
    }
    let rule = &TABLE.consecutive;
    let next = Minor::new(old.major, old.minor + 1);
    (old >= rule.from && new == next).then(|| Row {
        daemonset_required: rule.daemonset_required,
        l3: rule.l3,
        l7: rule.l7,
        source: rule.source.clone(),
        confidence: rule.confidence,
    })
}

/// Returns every listed upgrade between two minors, from latest patch to latest patch, oldest first.
pub fn transitions() -> Vec<(&'static Version, &'static Version)> {
    let latest = || catalogue::lines().iter().map(|line| &line.latest);
    let pairs = latest().flat_map(|from| latest().map(move |to| (from, to)));
    pairs.filter(|(from, to)| listed(from, to).is_some()).collect()
}

/// Returns the row of a hop between two patches of one minor, in either direction.
///
/// A hop from a version to itself is a restart of the agents.
pub fn micro(from: &Version, to: &Version) -> Option<Row> {
    let row = TABLE.micro.iter().find(|row| row.minors.contains(&from.minor()))?;
    let (low, high) = if from < to { (from, to) } else { (to, from) };
    let full = TABLE.full_manifests.iter().find(|full| *low < full.patch && full.patch <= *high);
    Some(Row {
        daemonset_required: full.is_some(),
        l3: row.l3,
        l7: row.l7,
        source: full.map_or(&row.source, |full| &full.source).clone(),
        confidence: full.map_or(row.confidence, |full| full.confidence),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::table("1.5.3", "1.6.4", Some(Impact::MinimalToNone))]
    #[case::conntrack_format("1.1.6", "1.2.8", Some(Impact::TemporaryDisruption))]
    #[case::at_least("1.2.5", "1.5.13", Some(Impact::MinimalToNone))]
    #[case::below_at_least("1.2.4", "1.5.13", None)]
    #[case::at_least_covers_later_minors("1.4.1", "1.5.13", Some(Impact::MinimalToNone))]
    #[case::skips_a_minor("1.4.10", "1.6.4", None)]
    #[case::consecutive("1.15.1", "1.16.0", Some(Impact::MinimalToNone))]
    #[case::not_consecutive("1.15.1", "1.17.0", None)]
    #[case::backwards("1.6.4", "1.5.13", None)]
    fn lists_minors(#[case] from: &str, #[case] to: &str, #[case] l3: Option<Impact>) {
        assert_eq!(listed(&version(from), &version(to)).map(|row| row.l3), l3);
    }

    #[test]
    fn every_transition_is_a_plan_of_one_stage() {
        let all = transitions();
        let minors = |from: &str, to: &str| {
            all.iter().any(|(old, new)| old.minor().to_string() == from && new.minor().to_string() == to)
        };
        assert!(minors("1.2", "1.5") && minors("1.5", "1.6") && minors("1.19", "1.20"));
        assert!(!minors("1.1", "1.6") && !minors("1.6", "1.5"));
        for (from, to) in all {
            assert_eq!(crate::plan(from, to).unwrap().stages.len(), 1, "{from} to {to}");
        }
    }

    #[rstest]
    #[case::image_only("1.5.3", "1.5.13", false)]
    #[case::crosses_1_6_7("1.6.3", "1.6.12", true)]
    #[case::crosses_1_6_7_backwards("1.6.12", "1.6.3", true)]
    #[case::after_1_6_7("1.6.7", "1.6.12", false)]
    #[case::first_patch_of_1_7("1.7.0", "1.7.1", true)]
    fn knows_patches_that_change_the_daemonset(#[case] from: &str, #[case] to: &str, #[case] full: bool) {
        assert_eq!(micro(&version(from), &version(to)).map(|row| row.daemonset_required), Some(full));
    }
}
