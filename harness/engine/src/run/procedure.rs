//! What a run does on its cluster, step by step, as a value. Pure: a request becomes it, the executor follows it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use guide::{Plan, Stage};
use model::{Direction, Impact, Version};

use crate::procedure::ROLLOUT;
use crate::steps::{
    Action, ConfigMap, EditConfig, Hop, Preflight, RolloutUndo, SetImage, Step, StepAction as _, Upgrade,
};

/// From nothing to the end of the baseline, and the take-down: what every run does.
const AROUND: Duration = Duration::from_millis(18_000);

/// The part of [`Procedure::longest`] that is for everything around the steps, and between them.
const MARGIN: Duration = Duration::from_secs(600);

/// A first version, and the steps that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Procedure {
    /// The version that is installed.
    pub first: Version,
    /// The steps once traffic flows and its baseline was taken.
    pub steps: Vec<Step>,
}

impl Procedure {
    /// The documented procedure: for each stage the pre-flight check, the required keys, and the upgrade.
    #[must_use]
    pub fn of_plan(plan: &Plan, rollback: bool) -> Self {
        let mut steps: Vec<Step> = plan.stages.iter().flat_map(stage).collect();
        if let Some(last) = plan.stages.last().filter(|_| rollback) {
            steps.extend(Step::change(Hop::back_over(last), Action::RolloutUndo(RolloutUndo {})));
        }
        Self { first: plan.stages.first().map_or_else(|| plan.from.clone(), |s| s.from.clone()), steps }
    }

    /// The procedure without a guide: the manifests of another version are applied, and `rollback` undoes the rollout.
    #[must_use]
    pub fn undocumented(from: Version, to: Version, rollback: bool) -> Self {
        let hop = |from: &Version, to: &Version, direction| Hop {
            from: from.clone(),
            to: to.clone(),
            direction,
            l3: Impact::MinimalToNone,
            l7: Impact::NotApplicable,
        };
        let upgrade = Upgrade { to: to.to_string(), tag: None, config_map: ConfigMap::Regenerated };
        let mut steps =
            Vec::from(Step::change(hop(&from, &to, Direction::Upgrade), Action::Upgrade(upgrade)));
        if rollback {
            let back = hop(&to, &from, Direction::Rollback);
            steps.extend(Step::change(back, Action::RolloutUndo(RolloutUndo {})));
        }
        Self { first: from, steps }
    }

    /// Every version that is installed or checked, each once, in order.
    #[must_use]
    pub fn versions(&self) -> Vec<Version> {
        let mut versions = vec![self.first.clone()];
        for step in &self.steps {
            if !versions.contains(&step.to) {
                versions.push(step.to.clone());
            }
        }
        versions
    }

    /// The files that are placed on the nodes.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::PlaceFile(file) => Some(file.path()),
            _ => None,
        })
    }

    /// The transitions, in order.
    pub fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.steps.iter().filter_map(|step| step.hop.as_ref())
    }

    /// The expected duration of a run on a machine with two cores, good to about a fifth. Shards are balanced by it;
    /// nothing is judged by it.
    #[must_use]
    pub fn expected(&self) -> Duration {
        // The procedure ends at a step that is meant to fail.
        let ends = self.steps.iter().position(|step| step.may_fail && step.within.is_some());
        let taken = &self.steps[..ends.map_or(self.steps.len(), |end| end + 1)];
        let left = (0..self.steps.len()).rev();
        AROUND + taken.iter().zip(left).map(|(step, left)| expected(step, left == 0)).sum::<Duration>()
    }

    /// How long a run takes at most. What a killed run left in an existing cluster ends by itself after this time.
    #[must_use]
    pub fn longest(&self) -> Duration {
        // A step may wait for a DaemonSet, and then for a Deployment.
        let limits = self.steps.iter().map(|step| 2 * step.within.unwrap_or(ROLLOUT));
        self.expected() + limits.sum::<Duration>() + MARGIN
    }
}

fn expected(step: &Step, last: bool) -> Duration {
    match step.within {
        // A step that is meant to fail takes all the time that it has.
        Some(within) if step.may_fail => within,
        _ => step.action.expected(last),
    }
}

fn stage(stage: &Stage) -> Vec<Step> {
    let (from, to) = (&stage.from, &stage.to);
    let preflight = Preflight { to: to.to_string(), tag: None, set: BTreeMap::new() };
    let mut steps = vec![preflight.step(from.clone(), to.clone())];
    if !stage.config_changes.is_empty() {
        let changes = stage.config_changes.iter().map(|change| (change.key.clone(), change.value.clone()));
        let name = format!("required changes before {to}");
        steps.push(EditConfig(changes.collect()).step(name, from.clone()));
    }
    let action = match stage.kind {
        guide::StageKind::Patch => Action::SetImage(SetImage { to: to.to_string() }),
        guide::StageKind::Upgrade | guide::StageKind::Downgrade => {
            Action::Upgrade(Upgrade { to: to.to_string(), tag: None, config_map: ConfigMap::Preserved })
        }
    };
    steps.extend(Step::change(Hop::over(stage), action));
    steps
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn procedure(from: &str, to: &str, rollback: bool) -> Procedure {
        let plan = guide::plan(&from.parse().unwrap(), &to.parse().unwrap()).unwrap();
        Procedure::of_plan(&plan, rollback)
    }

    #[rstest]
    #[case::minor("1.5.13", "1.6.12", false, &[
        "pre-flight check 1.6.12",
        "required changes before 1.6.12",
        "upgrade 1.5.13 -> 1.6.12",
        "settle on 1.6.12",
    ])]
    #[case::micro_and_back("1.6.11", "1.6.12", true, &[
        "pre-flight check 1.6.12",
        "upgrade 1.6.11 -> 1.6.12",
        "settle on 1.6.12",
        "roll back 1.6.12 -> 1.6.11",
        "settle on 1.6.11",
    ])]
    fn plans_become_steps(
        #[case] from: &str,
        #[case] to: &str,
        #[case] rollback: bool,
        #[case] expected: &[&str],
    ) {
        let procedure = procedure(from, to, rollback);
        let names: Vec<_> = procedure.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn without_a_guide_manifests_are_applied_whole_and_the_rollout_is_undone() {
        let procedure = Procedure::undocumented(Version::new(0, 25, 7), Version::new(0, 26, 7), true);
        let names: Vec<_> = procedure.steps.iter().map(|step| step.name.as_str()).collect();
        let expected = [
            "upgrade 0.25.7 -> 0.26.7",
            "settle on 0.26.7",
            "roll back 0.26.7 -> 0.25.7",
            "settle on 0.25.7",
        ];
        assert_eq!(names, expected);
        let Action::Upgrade(upgrade) = &procedure.steps[0].action else { panic!("it is an upgrade") };
        assert_eq!(upgrade.config_map, ConfigMap::Regenerated);
        assert_eq!(procedure.hops().map(|hop| hop.l3).collect::<Vec<_>>(), [Impact::MinimalToNone; 2]);
        assert_eq!(procedure.versions().len(), 2);
    }

    #[rstest]
    #[case::minor("1.5.13", "1.6.12", true)]
    #[case::micro("1.6.11", "1.6.12", false)]
    fn only_another_minor_needs_the_chart(#[case] from: &str, #[case] to: &str, #[case] expected: bool) {
        let steps = procedure(from, to, false).steps;
        assert_eq!(steps.iter().any(|step| matches!(step.action, Action::Upgrade(_))), expected);
        assert_eq!(steps.iter().any(|step| matches!(step.action, Action::SetImage(_))), !expected);
    }

    #[test]
    fn a_version_is_named_once_and_a_rollback_is_a_hop() {
        let procedure = procedure("1.5.13", "1.6.12", true);
        let versions: Vec<_> = procedure.versions().iter().map(ToString::to_string).collect();
        assert_eq!(versions, ["1.5.13", "1.6.12"]);
        let hops: Vec<_> = procedure.hops().map(Hop::name).collect();
        assert_eq!(hops, ["upgrade 1.5.13 -> 1.6.12", "rollback 1.6.12 -> 1.5.13"]);
    }

    #[test]
    fn more_steps_take_longer_and_the_last_settling_longest() {
        let there = procedure("1.5.13", "1.6.12", false).expected();
        let back = procedure("1.5.13", "1.6.12", true).expected();
        assert_eq!(there, AROUND + Duration::from_millis(3_500 + 300 + 6_500 + 12_000));
        assert_eq!(back, there + Duration::from_millis(5_000 + 5_000));
    }

    #[test]
    fn a_step_that_is_meant_to_fail_takes_all_its_time_and_is_the_last() {
        let mut procedure = procedure("1.5.13", "1.6.12", false);
        let preflight = &mut procedure.steps[0];
        preflight.within = Some(Duration::from_secs(10));
        assert_eq!(expected(preflight, false), Duration::from_millis(3_500));
        preflight.may_fail = true;
        assert_eq!(procedure.expected(), AROUND + Duration::from_secs(10));
    }

    #[test]
    fn probers_outlast_every_limit_of_the_steps() {
        let mut procedure = procedure("1.5.13", "1.6.12", true);
        // Each step may wait for a DaemonSet and for a Deployment.
        let limits = Duration::from_secs(6 * 2 * 120);
        assert_eq!(procedure.steps.len(), 6);
        assert_eq!(procedure.longest(), procedure.expected() + limits + Duration::from_secs(600));
        procedure.steps[2].within = Some(Duration::from_secs(1_000));
        let limits = Duration::from_secs(5 * 2 * 120 + 2 * 1_000);
        assert_eq!(procedure.longest(), procedure.expected() + limits + Duration::from_secs(600));
    }
}
