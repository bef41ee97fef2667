//! Staging: the shortest way through listed hops, latest patch first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::catalogue;
use crate::data::Confidence;
use crate::hazard::{Facts, hazards};
use crate::plan::preflight::preflights;
use crate::plan::procedure::{self, Hop};
use crate::plan::{Direction, Plan, Stage};
use crate::required::required_changes;
use crate::transition::{self, Row};
use model::{Minor, Version};

/// What a plan may contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Allows a target that is older than the start.
    pub downgrade: bool,
    /// Wants one hop between minors and no staging.
    pub direct: bool,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Start and target are the same.
    #[error("{version} is already the target: there is nothing to upgrade")]
    SameVersion {
        /// The version.
        version: Version,
    },
    /// The target is older, and a downgrade was not asked for.
    #[error("{to} is older than {from}: ask for a downgrade explicitly")]
    NotAnUpgrade {
        /// Version before.
        from: Version,
        /// Version after.
        to: Version,
    },
    /// One hop was wanted that the guide does not list.
    #[error("the guide does not list {from} to {to}, it may not be safe: go {}", arrows(.staged))]
    Unlisted {
        /// Version before.
        from: Version,
        /// Version after.
        to: Version,
        /// The way through listed hops.
        staged: Box<Plan>,
    },
    /// No sequence of listed hops leads to the target.
    #[error("no sequence of listed hops leads from {from} to {to}: install {to} anew")]
    NoRoute {
        /// Version before.
        from: Version,
        /// Version after.
        to: Version,
    },
}

/// Plans an upgrade through listed hops.
///
/// # Errors
/// Fails when the target is not newer or no listed hops lead there.
pub fn plan(from: &Version, to: &Version) -> Result<Plan, PlanError> {
    plan_with(from, to, Options::default())
}

/// Plans an upgrade or, if allowed, a downgrade.
///
/// # Errors
/// Fails when the options do not allow the target or no listed hops lead there.
pub fn plan_with(from: &Version, to: &Version, options: Options) -> Result<Plan, PlanError> {
    plan_for(from, to, options, &Facts::default())
}

/// Plans for a cluster of which something is known.
///
/// # Errors
/// Fails when the options do not allow the target or no listed hops lead there.
pub fn plan_for(
    from: &Version,
    to: &Version,
    options: Options,
    facts: &Facts<'_>,
) -> Result<Plan, PlanError> {
    if from == to {
        return Err(PlanError::SameVersion { version: from.clone() });
    }
    let down = to < from;
    if down && !options.downgrade {
        return Err(PlanError::NotAnUpgrade { from: from.clone(), to: to.clone() });
    }
    let (low, high) = if down { (to, from) } else { (from, to) };
    let stops = stops(low, high, facts.available)
        .ok_or_else(|| PlanError::NoRoute { from: from.clone(), to: to.clone() })?;
    let hops = stops.windows(2).filter_map(|pair| match pair {
        [low, high] if down => stage(high, low, facts),
        [low, high] => stage(low, high, facts),
        _ => None,
    });
    let mut stages: Vec<_> = hops.collect();
    if down {
        stages.reverse();
    }
    let staged = Plan {
        schema: Plan::SCHEMA.to_owned(),
        from: from.clone(),
        to: to.clone(),
        stages,
        notes: notes(from, to),
    };
    if options.direct && low.minor() != high.minor() && transition::listed(low, high).is_none() {
        return Err(PlanError::Unlisted { from: from.clone(), to: to.clone(), staged: Box::new(staged) });
    }
    Ok(staged)
}

/// Finds the releases to stop at, from the lower end to the upper one.
///
/// Before a hop to another minor comes the latest patch of the lower one, as the guide asks for.
fn stops(low: &Version, high: &Version, available: Option<&BTreeSet<Version>>) -> Option<Vec<Version>> {
    let mut stops = vec![low.clone()];
    if low.minor() != high.minor() {
        for minor in route(low.minor(), high, available)? {
            // The start is there whatever else can be had.
            match latest(minor, available) {
                Some(latest) => stops.push(latest.clone()),
                None if minor == low.minor() => {}
                None => return None,
            }
        }
    }
    stops.push(high.clone());
    stops.dedup();
    Some(stops)
}

/// The latest patch of a minor that can be had.
fn latest(minor: Minor, available: Option<&BTreeSet<Version>>) -> Option<&Version> {
    match available {
        None => Some(&catalogue::line(minor)?.latest),
        Some(available) => available.iter().rfind(|version| version.minor() == minor),
    }
}

/// Finds the fewest minors to pass, the first included and the last not; of equally short ways the one with the later stops.
fn route(first: Minor, high: &Version, available: Option<&BTreeSet<Version>>) -> Option<Vec<Minor>> {
    let last = high.minor();
    let mut before = BTreeMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(minor) = queue.pop_front() {
        if minor == last {
            let mut path: Vec<_> =
                std::iter::successors(Some(last), |at| before.get(at).copied()).skip(1).collect();
            path.reverse();
            return Some(path);
        }
        let from = latest(minor, available).unwrap_or(&catalogue::line(minor)?.latest);
        for next in catalogue::lines().iter().rev().filter(|line| line.minor > minor && line.minor <= last) {
            let to = if next.minor == last { Some(high) } else { latest(next.minor, available) };
            let Some(to) = to else { continue };
            if !before.contains_key(&next.minor) && transition::listed(from, to).is_some() {
                before.insert(next.minor, minor);
                queue.push_back(next.minor);
            }
        }
    }
    None
}

fn stage(from: &Version, to: &Version, facts: &Facts<'_>) -> Option<Stage> {
    let down = to < from;
    let (low, high) = if down { (to, from) } else { (from, to) };
    let (row, direction) = if low.minor() == high.minor() {
        (transition::micro(from, to)?, Direction::Micro)
    } else if down {
        // The guides state no impact for downgrades: the same restart, so the same impact.
        (Row { confidence: Confidence::Inferred, ..transition::listed(low, high)? }, Direction::Down)
    } else {
        (transition::listed(low, high)?, Direction::Up)
    };
    let mut config_changes = match direction {
        Direction::Up => required_changes(from.minor(), to.minor()),
        Direction::Down | Direction::Micro => Vec::new(),
    };
    let value = |key: &str| facts.config.and_then(|config| config.get(key));
    config_changes.retain(|change| match value(&change.key) {
        Some(value) => !change.keep_existing && value != change.value,
        None => true,
    });
    let kubernetes = catalogue::line(to.minor()).and_then(|line| line.kubernetes.clone());
    let kubernetes_ok =
        kubernetes.as_ref().zip(facts.kubernetes).map(|(range, minor)| range.contains(&minor));
    let hop = Hop { from, to, direction };
    let preflight = if direction == Direction::Down { Vec::new() } else { preflights(from, to, facts) };
    Some(Stage {
        from: from.clone(),
        to: to.clone(),
        direction,
        daemonset_required: row.daemonset_required,
        l3: row.l3,
        l7: row.l7,
        l3_budget: None,
        l7_budget: None,
        kubernetes,
        kubernetes_ok,
        config_changes,
        steps: procedure::steps(&hop, &row, &preflight, facts),
        preflight,
        hazards: hazards(from, to, facts),
        rollback: procedure::rollback(&hop, facts),
        source: row.source,
        confidence: row.confidence,
    })
}

/// Says what concerns the whole way.
fn notes(from: &Version, to: &Version) -> Vec<String> {
    let mut notes = Vec::new();
    let known = |version: &Version| catalogue::line(version.minor()).map(|line| line.latest.clone());
    if let Some(latest) = known(to).filter(|latest| to < latest) {
        notes.push(format!("{latest} is the latest patch of {}: prefer it to {to}", to.minor()));
    }
    if from.pre.is_some() || to.pre.is_some() {
        notes.push("the guide makes no promise about pre-releases".to_owned());
    }
    if from.minor() != to.minor() && to < from {
        notes.push(
            "the guide states no impact for downgrades; the impact here is that of the same hop upwards"
                .to_owned(),
        );
    }
    notes
}

fn arrows(plan: &Plan) -> String {
    let first = plan.stages.first().map(|stage| &stage.from);
    let stops = first.into_iter().chain(plan.stages.iter().map(|stage| &stage.to));
    stops.map(ToString::to_string).collect::<Vec<_>>().join(" → ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    const DOWN: Options = Options { downgrade: true, direct: false };

    #[rstest]
    #[case::one_hop("1.5.13", "1.6.4", "1.5.13 → 1.6.4")]
    #[case::latest_patch_first("1.5.3", "1.6.4", "1.5.3 → 1.5.13 → 1.6.4")]
    #[case::staged("1.1.6", "1.6.12", "1.1.6 → 1.2.8 → 1.5.13 → 1.6.12")]
    #[case::micro("1.6.3", "1.6.12", "1.6.3 → 1.6.12")]
    #[case::modern("1.16.2", "1.18.1", "1.16.2 → 1.16.19 → 1.17.18 → 1.18.1")]
    #[case::release_candidate("1.6.12", "1.7.0-rc10", "1.6.12 → 1.7.0-rc10")]
    #[case::down("1.6.4", "1.5.13", "1.6.4 → 1.5.13")]
    #[case::down_to_an_older_patch("1.6.4", "1.5.3", "1.6.4 → 1.5.13 → 1.5.3")]
    fn stages(#[case] from: &str, #[case] to: &str, #[case] way: &str) {
        assert_eq!(arrows(&plan_with(&version(from), &version(to), DOWN).unwrap()), way);
    }

    #[rstest]
    #[case::what_there_is(&["1.6.12", "1.7.1", "1.8.0", "1.8.2"], "1.6.12 → 1.7.1 → 1.8.2 → 1.9.18")]
    #[case::not_even_the_start(&["1.7.1", "1.8.0"], "1.6.12 → 1.7.1 → 1.8.0 → 1.9.18")]
    fn stops_where_a_version_can_be_had(#[case] available: &[&str], #[case] way: &str) {
        let available = available.iter().map(|text| version(text)).collect();
        let facts = Facts { available: Some(&available), ..Facts::default() };
        let plan = plan_for(&version("1.6.12"), &version("1.9.18"), Options::default(), &facts).unwrap();
        assert_eq!(arrows(&plan), way);
    }

    #[test]
    fn there_is_no_way_through_a_minor_that_cannot_be_had() {
        let available = BTreeSet::from([version("1.7.1")]);
        let facts = Facts { available: Some(&available), ..Facts::default() };
        let error = plan_for(&version("1.6.12"), &version("1.9.18"), Options::default(), &facts).unwrap_err();
        assert!(matches!(error, PlanError::NoRoute { .. }), "{error}");
    }

    #[test]
    fn needs_kvstore_in_the_configmap_before_1_6() {
        let plan = plan(&version("1.5.13"), &version("1.6.4")).unwrap();
        let keys: Vec<_> = plan.stages[0].config_changes.iter().map(|change| change.key.as_str()).collect();
        assert_eq!(keys, ["kvstore", "kvstore-opt"]);
    }

    #[rstest]
    #[case::same("1.5.13", "1.5.13", "1.5.13 is already the target: there is nothing to upgrade")]
    #[case::older("1.6.4", "1.5.13", "1.5.13 is older than 1.6.4: ask for a downgrade explicitly")]
    fn refuses(#[case] from: &str, #[case] to: &str, #[case] message: &str) {
        assert_eq!(plan(&version(from), &version(to)).unwrap_err().to_string(), message);
    }

    #[test]
    fn refuses_a_direct_unlisted_hop_with_the_staged_way() {
        let direct = Options { direct: true, downgrade: false };
        let error = plan_with(&version("1.1.6"), &version("1.6.12"), direct).unwrap_err();
        let message = "the guide does not list 1.1.6 to 1.6.12, it may not be safe: \
                       go 1.1.6 → 1.2.8 → 1.5.13 → 1.6.12";
        assert_eq!(error.to_string(), message);
    }

    /// Every pair of known versions has a plan of listed hops only that ends at the target.
    #[test]
    fn every_pair_is_staged_through_listed_hops() {
        let first = |minor: Minor| minor.patch(0);
        let versions: Vec<_> =
            catalogue::lines().iter().flat_map(|line| [first(line.minor), line.latest.clone()]).collect();
        for from in &versions {
            for to in versions.iter().filter(|to| *to != from) {
                let plan = plan_with(from, to, DOWN).unwrap();
                assert_eq!(plan.stages.first().map(|stage| &stage.from), Some(from));
                assert_eq!(plan.stages.last().map(|stage| &stage.to), Some(to));
                for stage in &plan.stages {
                    let (low, high) = if stage.from < stage.to {
                        (&stage.from, &stage.to)
                    } else {
                        (&stage.to, &stage.from)
                    };
                    let listed = low.minor() == high.minor() || transition::listed(low, high).is_some();
                    assert!(listed, "{} to {} is not listed", stage.from, stage.to);
                }
            }
        }
    }
}
