//! Staging: the shortest path through listed hops, with the latest patch first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::catalogue;
use crate::data::Confidence;
use crate::facts::Facts;
use crate::hazard::hazards;
use crate::plan::preflight::preflights;
use crate::plan::procedure::{self, Hop};
use crate::plan::{Plan, Stage, StageKind};
use crate::required::required_changes;
use crate::transition::{self, Row};
use model::{Layer, Minor, Version};

/// What a plan may contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Allows a target that is older than the start.
    pub downgrade: bool,
    /// Requires a single hop between minors, without stops.
    pub direct: bool,
}

/// Why no plan exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Start and target are the same.
    #[error("{version} is already the target: nothing to upgrade")]
    SameVersion {
        /// The version.
        version: Version,
    },
    /// A vendor build, which comes with the vendor's images and charts.
    #[error("{version} is a vendor build: upgrade it with the vendor's charts and images")]
    VendorBuild {
        /// The version.
        version: Version,
    },
    /// The target is older, and the options do not allow a downgrade.
    #[error("{to} is older than {from}: allow a downgrade explicitly")]
    NotAnUpgrade {
        /// Version before.
        from: Version,
        /// Version after.
        to: Version,
    },
    /// The options require a single hop, and the guide does not list it.
    #[error("the guide does not list {from} to {to}, so it may be unsafe: upgrade in stages, {}", arrows(.staged))]
    Unlisted {
        /// Version before.
        from: Version,
        /// Version after.
        to: Version,
        /// The plan through listed hops.
        staged: Box<Plan>,
    },
    /// No sequence of listed hops leads to the target.
    #[error("no sequence of listed hops leads from {from} to {to}: install {to} on a new cluster")]
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

/// Plans an upgrade or, if the options allow it, a downgrade.
///
/// # Errors
/// Fails when the options do not allow the target or no listed hops lead there.
pub fn plan_with(from: &Version, to: &Version, options: Options) -> Result<Plan, PlanError> {
    plan_for(from, to, options, &Facts::default())
}

/// Plans for a cluster with known facts.
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
    if let Some(version) = [from, to].into_iter().find(|version| is_vendor_build(version)) {
        return Err(PlanError::VendorBuild { version: version.clone() });
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

/// Tells whether a version has a suffix that Cilium's own pre-releases do not use.
fn is_vendor_build(version: &Version) -> bool {
    let known = ["rc", "pre", "snapshot", "alpha", "beta", "dev"];
    version.pre.as_deref().is_some_and(|pre| !known.iter().any(|word| pre.starts_with(word)))
}

/// Finds the releases to stop at, oldest first.
///
/// A hop to another minor starts at the latest patch of the lower minor, as the guide requires.
fn stops(low: &Version, high: &Version, available: Option<&BTreeSet<Version>>) -> Option<Vec<Version>> {
    let mut stops = vec![low.clone()];
    if low.minor() != high.minor() {
        for minor in route(low.minor(), high, available)? {
            // The running version needs no source.
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

/// Returns the latest available patch of a minor.
fn latest(minor: Minor, available: Option<&BTreeSet<Version>>) -> Option<&Version> {
    match available {
        None => Some(&catalogue::line(minor)?.latest),
        Some(available) => available.iter().rfind(|version| version.minor() == minor),
    }
}

/// Finds the path with the fewest minors, without the last one; of equally short paths the one with the later stops.
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
    let (row, kind) = if low.minor() == high.minor() {
        (transition::micro(from, to)?, StageKind::Patch)
    } else if down {
        // The guides state no impact for downgrades; the agents restart in the same way.
        (Row { confidence: Confidence::Inferred, ..transition::listed(low, high)? }, StageKind::Downgrade)
    } else {
        (transition::listed(low, high)?, StageKind::Upgrade)
    };
    let mut config_changes = match kind {
        StageKind::Upgrade => required_changes(from.minor(), to.minor()),
        StageKind::Downgrade | StageKind::Patch => Vec::new(),
    };
    let value = |key: &str| facts.config.and_then(|config| config.get(key));
    config_changes.retain(|change| match value(&change.key) {
        Some(value) => !change.keep_existing && value != change.value,
        None => true,
    });
    let kubernetes = catalogue::line(to.minor()).and_then(|line| line.kubernetes.clone());
    let kubernetes_ok =
        kubernetes.as_ref().zip(facts.kubernetes).map(|(range, minor)| range.contains(&minor));
    let budget = |layer, impact| facts.budgets?.get(layer, impact).map(ToOwned::to_owned);
    let hop = Hop { from, to, kind };
    let preflight = if kind == StageKind::Downgrade { Vec::new() } else { preflights(from, to, facts) };
    Some(Stage {
        from: from.clone(),
        to: to.clone(),
        kind,
        daemonset_required: row.daemonset_required,
        l3: row.l3,
        l7: row.l7,
        l3_budget: budget(Layer::L3, row.l3),
        l7_budget: budget(Layer::L7, row.l7),
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

/// Returns the notes on a whole plan.
fn notes(from: &Version, to: &Version) -> Vec<String> {
    let mut notes = Vec::new();
    let known = |version: &Version| catalogue::line(version.minor()).map(|line| line.latest.clone());
    if let Some(latest) = known(to).filter(|latest| to < latest) {
        notes.push(format!("{latest} is the latest patch of {}: prefer it over {to}", to.minor()));
    }
    if from.pre.is_some() || to.pre.is_some() {
        notes.push("the guide does not cover pre-releases".to_owned());
    }
    if from.minor() != to.minor() && to < from {
        notes.push(
            "the guide states no impact for downgrades; the impact shown is that of the upgrade over the same hop"
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
    #[case::latest_available(&["1.6.12", "1.7.1", "1.8.0", "1.8.2"], "1.6.12 → 1.7.1 → 1.8.2 → 1.9.18")]
    #[case::not_even_the_start(&["1.7.1", "1.8.0"], "1.6.12 → 1.7.1 → 1.8.0 → 1.9.18")]
    fn stops_at_available_versions(#[case] available: &[&str], #[case] way: &str) {
        let available = available.iter().map(|text| version(text)).collect();
        let facts = Facts { available: Some(&available), ..Facts::default() };
        let plan = plan_for(&version("1.6.12"), &version("1.9.18"), Options::default(), &facts).unwrap();
        assert_eq!(arrows(&plan), way);
    }

    #[test]
    fn no_route_through_an_unavailable_minor() {
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
    #[case::same("1.5.13", "1.5.13", "1.5.13 is already the target: nothing to upgrade")]
    #[case::vendor(
        "1.14.5-eksa.2",
        "1.15.19",
        "1.14.5-eksa.2 is a vendor build: upgrade it with the vendor's charts and images"
    )]
    #[case::older("1.6.4", "1.5.13", "1.5.13 is older than 1.6.4: allow a downgrade explicitly")]
    fn refuses(#[case] from: &str, #[case] to: &str, #[case] message: &str) {
        assert_eq!(plan(&version(from), &version(to)).unwrap_err().to_string(), message);
    }

    #[test]
    fn refuses_a_direct_unlisted_hop_with_the_staged_way() {
        let direct = Options { direct: true, downgrade: false };
        let error = plan_with(&version("1.1.6"), &version("1.6.12"), direct).unwrap_err();
        let message = "the guide does not list 1.1.6 to 1.6.12, so it may be unsafe: \
                       upgrade in stages, 1.1.6 → 1.2.8 → 1.5.13 → 1.6.12";
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
