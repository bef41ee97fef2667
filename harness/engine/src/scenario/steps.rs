//! From an arm of a scenario to the procedure that a run follows. Pure.

use std::path::PathBuf;
use std::time::Duration;

use guide::lint::Change;
use guide::{Options, Version, VersionSpec};
use serde_saphyr::{Location, Spanned};

use super::file::{Action, Arm, ConfigMap, Scenario, ScenarioError, SpareServer, Step};
use super::looks;
use super::policies::{Policies, When};
use crate::run::look::Look;
use crate::run::procedure::{self, Hop, PolicyChange, Procedure, Target, Way};

/// Why an arm has no procedure.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProcedure {
    /// The file is wrong.
    #[error(transparent)]
    File(#[from] ScenarioError),
    /// The guide does not have the way that it wants to go.
    #[error("{0}")]
    Refused(ScenarioError),
}

/// Plans an arm: every version is resolved, and every hop is one that the guide lists.
pub(super) fn procedure(file: &str, scenario: &Scenario, arm: Arm) -> Result<Procedure, NoProcedure> {
    let version = &scenario.install.version;
    let first = resolve(file, version.referenced, &version.value)?;
    let mut walk = Walk { file, revisions: vec![first.clone()], steps: Vec::new(), meanwhile: None };
    let stops_at = scenario.expected(arm).stops_at;
    let ours = |step: &&Spanned<Step>| step.value.arm.is_none_or(|only| only == arm);
    for step in scenario.steps.iter().filter(ours) {
        let taken = walk.steps.len();
        walk.step(step)?;
        for made in &mut walk.steps[taken..] {
            made.within = step.value.within_seconds.map(|seconds| Duration::from_secs(seconds.into()));
            made.may_fail = stops_at.is_some_and(|stop| stop.is(&made.name));
            if matches!(made.action, procedure::Action::Change(..)) {
                made.meanwhile = walk.meanwhile.take().map(|(_, change)| change);
            }
        }
    }
    if let Some((at, _)) = walk.meanwhile {
        return Err(
            ScenarioError::at(file, at, "no change of the agents follows, so none will be away").into()
        );
    }
    Ok(Procedure { first, steps: walk.steps })
}

fn resolve(file: &str, at: Location, text: &str) -> Result<Version, ScenarioError> {
    let spec: VersionSpec = text.parse().map_err(|e| ScenarioError::at(file, at, format!("{e}")))?;
    guide::resolve(&spec).map_err(|e| ScenarioError::at(file, at, e.to_string()))
}

/// Follows the versions through the steps.
struct Walk<'a> {
    file: &'a str,
    /// The rollouts so far, as the DaemonSet's revisions hold them, the current one last.
    revisions: Vec<Version>,
    steps: Vec<procedure::Step>,
    /// What is done in the midst of the next change, and where the file says so.
    meanwhile: Option<(Location, PolicyChange)>,
}

impl Walk<'_> {
    fn step(&mut self, step: &Spanned<Step>) -> Result<(), NoProcedure> {
        let at = step.referenced;
        let version = |text: &str| resolve(self.file, at, text);
        match step.value.action() {
            Some(Action::Preflight(check)) => {
                let target =
                    Target { version: version(&check.to)?, tag: check.tag.clone(), set: check.set.clone() };
                self.steps.push(procedure::Step::preflight(target));
            }
            Some(Action::Rebase(target)) => {
                let to = version(&target.to)?;
                self.steps.push(procedure::Step::rebase(self.current(), to));
            }
            Some(Action::EditConfig(changes)) => {
                let name = format!("edit {}", changes.keys().cloned().collect::<Vec<_>>().join(", "));
                self.steps.push(procedure::Step::edit_config(name, changes.clone()));
            }
            Some(Action::Upgrade(upgrade)) => {
                let to = version(&upgrade.to)?;
                let way = match upgrade.config_map {
                    ConfigMap::Preserved => Way::Chart(upgrade.tag.clone()),
                    ConfigMap::Regenerated => Way::ChartAndConfig,
                };
                self.go(at, to, way)?;
            }
            Some(Action::SetImage(target)) => {
                let to = version(&target.to)?;
                self.go(at, to, Way::Image)?;
            }
            Some(Action::RolloutUndo) => self.undo(at)?,
            Some(Action::Restart(restart)) => {
                let mut hop = self.stay(at, "restart")?;
                if let Some(l3) = restart.l3 {
                    hop.l3 = l3.to_string();
                }
                self.revisions.push(hop.to.clone());
                self.steps.extend(procedure::changed(hop, Way::Restart));
            }
            Some(Action::Wait(wait)) => {
                self.steps.push(procedure::Step::wait(Duration::from_secs(wait.seconds.into())));
            }
            Some(Action::MigrateIdentities) => {
                self.steps.push(procedure::Step::migrate_identities(self.current()));
            }
            Some(Action::ClearIdentities) => self.steps.push(procedure::Step::clear_identities()),
            Some(Action::SpareServer(spare)) => {
                self.steps.push(procedure::Step::spare_server(spare == SpareServer::Added));
            }
            Some(Action::AskNames) => self.steps.push(procedure::Step::ask_names()),
            Some(Action::ApplyPolicy(policies)) => self.policies(at, policies)?,
            Some(Action::PlaceFile(file)) => {
                let path = PathBuf::from(&file.path);
                if !path.is_absolute() || path.file_name().is_none() {
                    return Err(
                        ScenarioError::at(self.file, at, "place-file needs the path of a file").into()
                    );
                }
                self.steps.push(procedure::Step::place_file(path, file.text.clone()));
            }
            Some(Action::Look(look)) => self.look(at, look)?,
            None => unreachable!("a scenario is checked when it is read"),
        }
        Ok(())
    }

    fn look(&mut self, at: Location, look: looks::Look<'_>) -> Result<(), NoProcedure> {
        let wrong = |message: String| ScenarioError::at(self.file, at, message);
        let look = match look {
            looks::Look::InAgents(it) if it.command.is_empty() => {
                return Err(wrong("in-agents names no command".to_owned()).into());
            }
            looks::Look::InAgents(it) => Look::InAgents(it.command.clone(), it.input.clone()),
            looks::Look::Lint(it) => {
                let kernel = it.kernel.as_deref().map(str::parse).transpose();
                let kernel = kernel.map_err(|e| wrong(format!("{e}")))?;
                let to = resolve(self.file, at, &it.to)?;
                Look::Lint(Change { from: self.current(), to, kernel }, it.files.clone())
            }
            looks::Look::Scrape(it) => Look::Scrape(self.current(), it.port, it.lines.clone()),
            looks::Look::StartBeside(it) => {
                Look::StartBeside(self.current(), it.name.clone(), it.command.clone())
            }
            looks::Look::Hear(name) => {
                let started = format!("start {name}");
                if !self.steps.iter().any(|step| step.name == started) {
                    return Err(wrong(format!("nothing was started under the name {name}")).into());
                }
                Look::Hear(name.to_owned())
            }
        };
        self.steps.push(procedure::Step::look(look));
        Ok(())
    }

    fn policies(&mut self, at: Location, policies: &Policies) -> Result<(), NoProcedure> {
        let change = PolicyChange { apply: policies.apply.clone(), delete: policies.delete.clone() };
        if change.is_empty() {
            return Err(ScenarioError::at(self.file, at, "apply-policy names no policy").into());
        }
        match (policies.when, &self.meanwhile) {
            (When::Now, _) => self.steps.push(procedure::Step::policies(change)),
            (When::AgentAway, None) => self.meanwhile = Some((at, change)),
            (When::AgentAway, Some(_)) => {
                let message = "another step is waiting for the next change already";
                return Err(ScenarioError::at(self.file, at, message).into());
            }
        }
        Ok(())
    }

    /// Goes to a version, which may be the one that runs.
    fn go(&mut self, at: Location, to: Version, way: Way) -> Result<(), NoProcedure> {
        let from = self.current();
        if from == to {
            // The same template again is no new revision.
            let hop = self.stay(at, "re-apply")?;
            self.steps.extend(procedure::changed(hop, way));
            return Ok(());
        }
        let hop = self.hop(at, &from, &to)?;
        self.revisions.push(to);
        self.steps.extend(procedure::changed(hop, way));
        Ok(())
    }

    fn undo(&mut self, at: Location) -> Result<(), NoProcedure> {
        let from = self.current();
        let Some(before) = self.revisions.len().checked_sub(2) else {
            return Err(ScenarioError::at(self.file, at, "there is no rollout to undo yet").into());
        };
        // An undo makes the old revision the newest.
        let to = self.revisions.remove(before);
        let hop = if from == to { self.stay(at, "rollback")? } else { self.hop(at, &from, &to)? };
        self.revisions.push(to);
        self.steps.extend(procedure::changed(Hop { direction: "rollback", ..hop }, Way::Undo));
        Ok(())
    }

    fn hop(&self, at: Location, from: &Version, to: &Version) -> Result<Hop, NoProcedure> {
        let options = Options { downgrade: true, direct: true };
        let plan = guide::plan_with(from, to, options)
            .map_err(|e| NoProcedure::Refused(ScenarioError::at(self.file, at, e.to_string())))?;
        match &plan.stages[..] {
            [stage] => Ok(Hop::over(stage)),
            stages => {
                let stops: Vec<_> = stages.iter().map(|stage| stage.to.to_string()).collect();
                let message = format!("go from {from} to {} one after the other", stops.join(" and "));
                Err(ScenarioError::at(self.file, at, message).into())
            }
        }
    }

    /// A change that leaves the version: the guide's words for micro versions hold.
    fn stay(&self, at: Location, direction: &'static str) -> Result<Hop, NoProcedure> {
        let version = self.current();
        let row = guide::micro(&version, &version).ok_or_else(|| {
            ScenarioError::at(self.file, at, format!("the guide says nothing of a restart of {version}"))
        })?;
        Ok(Hop {
            from: version.clone(),
            to: version,
            direction,
            l3: row.l3.to_string(),
            l7: row.l7.to_string(),
        })
    }

    fn current(&self) -> Version {
        match self.revisions.last() {
            Some(version) => version.clone(),
            None => unreachable!("the first version is a revision"),
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn the_guides_words_for_a_restart_can_be_others() {
        let steps = format!("{ONE_ARMED}- restart: {{}}\n- restart: {{l3: temporary-disruption}}\n");
        let made = procedure("f", &scenario("1.6.12", &steps), Arm::Followed).unwrap();
        let words: Vec<_> = made.hops().map(|hop| hop.l3.as_str()).collect();
        assert_eq!(words, ["Minimal to None", "Temporary disruption"]);
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
