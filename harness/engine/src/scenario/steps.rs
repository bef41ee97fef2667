//! From an arm of a scenario to the procedure that a run follows. Pure.

use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::file::{Scenario, ScenarioError};
use crate::run::procedure::Procedure;
use crate::steps::{Arm, Planner, StepAction as _, StepEntry, Unplannable};

/// Why an arm has no procedure.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProcedure {
    /// The file is wrong.
    #[error(transparent)]
    File(#[from] ScenarioError),
    /// The guide does not list one of its transitions.
    #[error("{0}")]
    Refused(ScenarioError),
}

/// Plans an arm: every version is resolved, and every transition is one that the guide lists.
pub(super) fn procedure(file: &str, scenario: &Scenario, arm: Arm) -> Result<Procedure, NoProcedure> {
    let at = |location: Location, error: Unplannable| {
        let message = error.to_string();
        match error {
            Unplannable::Wrong(_) => NoProcedure::File(ScenarioError::at(file, location, message)),
            Unplannable::Refused(_) => NoProcedure::Refused(ScenarioError::at(file, location, message)),
        }
    };
    let version = &scenario.install.version;
    let first = Planner::resolve(&version.value).map_err(|e| at(version.referenced, e))?;
    let mut planner = Planner::new(first.clone());
    let stops_at = scenario.expected(arm).stops_at;
    let of_arm = |step: &&Spanned<StepEntry>| step.value.arm.is_none_or(|only| only == arm);
    let mut waiting_since = None;
    for entry in scenario.steps.iter().filter(of_arm) {
        let planned = planner.steps().len();
        let Some(action) = entry.value.action() else {
            unreachable!("a scenario is checked when it is read")
        };
        action.plan(&mut planner).map_err(|e| at(entry.referenced, e))?;
        for step in planner.steps_from(planned) {
            step.within = entry.value.within_seconds.map(|seconds| Duration::from_secs(seconds.into()));
            step.may_fail = stops_at.is_some_and(|stop| stop.is(step));
        }
        waiting_since = planner.is_waiting().then(|| waiting_since.unwrap_or(entry.referenced));
    }
    if let Some(location) = waiting_since {
        let message = "no change of the agents follows, so none will be away";
        return Err(ScenarioError::at(file, location, message).into());
    }
    Ok(Procedure { first, steps: planner.finish() })
}

#[cfg(test)]
mod tests {
    use model::Impact;
    use rstest::rstest;

    use super::*;

    fn scenario(version: &str, steps: &str) -> Scenario {
        let head = format!("name: a\ntitle: t\nguide: g\ninstall: {{version: {version}}}\n");
        Scenario::parse("f", &format!("{head}expect: {{skipped: {{}}}}\nsteps:\n{steps}")).unwrap()
    }

    const ONE_ARMED: &str = "- {arm: skipped, wait: {seconds: 1}}\n";

    fn names(steps: &str, arm: Arm) -> Vec<String> {
        let made = procedure("f", &scenario("1.5.13", steps), arm).unwrap();
        made.steps.into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn a_step_is_taken_in_its_arm_alone() {
        let steps = "- {arm: followed, edit-config: {kvstore: etcd}}\n- upgrade: {to: '1.6.12'}\n";
        let followed = ["edit kvstore", "upgrade 1.5.13 -> 1.6.12", "settle on 1.6.12"];
        assert_eq!(names(steps, Arm::Followed), followed);
        assert_eq!(names(steps, Arm::Skipped), followed[1..]);
    }

    #[test]
    fn undo_goes_back_and_forth_between_the_last_two_revisions() {
        let steps = format!(
            "{ONE_ARMED}- upgrade: {{to: '1.6.12'}}\n- upgrade: {{to: '1.6.12'}}\n- rollout-undo: {{}}\n- rollout-undo: {{}}\n"
        );
        let made: Vec<_> =
            names(&steps, Arm::Followed).into_iter().filter(|name| !name.starts_with("settle")).collect();
        assert_eq!(
            made,
            [
                "upgrade 1.5.13 -> 1.6.12",
                "re-apply 1.6.12",
                "roll back 1.6.12 -> 1.5.13",
                "roll back 1.5.13 -> 1.6.12"
            ]
        );
    }

    #[test]
    fn the_impact_of_a_restart_can_be_given() {
        let steps = format!("{ONE_ARMED}- restart: {{}}\n- restart: {{l3: temporary-disruption}}\n");
        let made = procedure("f", &scenario("1.6.12", &steps), Arm::Followed).unwrap();
        let impacts: Vec<_> = made.hops().map(|hop| hop.l3).collect();
        assert_eq!(impacts, [Impact::MinimalToNone, Impact::TemporaryDisruption]);
    }

    #[rstest]
    #[case::nothing_to_undo(
        "1.5.13",
        "- rollout-undo: {}\n",
        "f:8:3: there is no rollout to undo yet",
        false
    )]
    #[case::unlisted(
        "1.1.6",
        "- upgrade: {to: '1.6.12'}\n",
        "f:8:3: the guide does not list 1.1.6 to 1.6.12",
        true
    )]
    #[case::not_the_latest_patch(
        "1.5.3",
        "- upgrade: {to: '1.6.12'}\n",
        "f:8:3: go from 1.5.3 to 1.5.13 and 1.6.12",
        false
    )]
    #[case::no_version("1.5.13", "- upgrade: {to: new}\n", "f:8:3: ", false)]
    #[case::nobody_goes_away(
        "1.5.13",
        "- apply-policy: {when: agent-away, delete: [a]}\n",
        "f:8:3: no change of the agents follows",
        false
    )]
    #[case::no_file(
        "1.5.13",
        "- place-file: {path: etc, text: x}\n",
        "f:8:3: place-file needs the path",
        false
    )]
    #[case::no_command("1.5.13", "- in-agents: {command: []}\n", "f:8:3: in-agents names no command", false)]
    #[case::no_kernel("1.5.13", "- lint: {to: '1.6', kernel: new}\n", "f:8:3: ", false)]
    #[case::nothing_to_hear("1.5.13", "- hear: x\n", "f:8:3: nothing was started under the name x", false)]
    #[case::no_policy("1.5.13", "- apply-policy: {}\n", "f:8:3: apply-policy names no policy", false)]
    fn what_the_guide_does_not_have_is_refused(
        #[case] from: &str,
        #[case] steps: &str,
        #[case] said: &str,
        #[case] refused: bool,
    ) {
        let scenario = scenario(from, &format!("{ONE_ARMED}{steps}"));
        let error = procedure("f", &scenario, Arm::Followed).unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
        assert_eq!(matches!(error, NoProcedure::Refused(_)), refused);
    }

    #[test]
    fn policies_change_at_once_or_in_the_midst_of_the_next_change() {
        let steps = format!(
            "{ONE_ARMED}- apply-policy: {{when: agent-away, apply: {{a: {{endpointSelector: {{}}}}}}}}\n\
             - restart: {{}}\n- apply-policy: {{delete: [a]}}\n"
        );
        let made = procedure("f", &scenario("1.5.13", &steps), Arm::Followed).unwrap().steps;
        let names: Vec<_> = made.iter().map(|step| (step.name.as_str(), step.meanwhile.is_some())).collect();
        assert_eq!(
            names,
            [("restart 1.5.13", true), ("settle on 1.5.13", false), ("delete policy a", false)]
        );
        assert_eq!(made[0].meanwhile.as_ref().unwrap().to_string(), "apply policy a");
    }

    #[test]
    fn limits_and_stops_are_those_of_the_step() {
        let text = "name: a\ntitle: t\nguide: g\ninstall: {version: 1.5.13}\n\
                    expect: {followed: {stops-at: preflight}}\n\
                    steps:\n- {preflight: {to: '1.6', tag: x}, within-seconds: 9}\n- restart: {}\n";
        let made = procedure("f", &Scenario::parse("f", text).unwrap(), Arm::Followed).unwrap().steps;
        let limits: Vec<_> =
            made.iter().map(|step| (step.within.map(|d| d.as_secs()), step.may_fail)).collect();
        assert_eq!(limits, [(Some(9), true), (None, false), (None, false)]);
    }
}
