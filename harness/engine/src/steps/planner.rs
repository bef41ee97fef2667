//! Follows the versions through the steps of a procedure. Pure.

use guide::Options;
use model::{Direction, Impact, Version, VersionSpec};

use super::{Action, ApplyPolicy, Hop, Step};

/// Why a step cannot be planned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unplannable {
    /// The step is wrong.
    #[error("{0}")]
    Wrong(String),
    /// The guide does not list the transition.
    #[error("{0}")]
    Refused(String),
}

impl Unplannable {
    /// A step that is wrong.
    pub(super) fn wrong(message: impl Into<String>) -> Self {
        Self::Wrong(message.into())
    }
}

/// The plan so far.
#[derive(Debug)]
pub(crate) struct Planner {
    /// The rollouts so far, as the DaemonSet's revisions hold them, the current one last.
    revisions: Vec<Version>,
    steps: Vec<Step>,
    /// What happens during the next change.
    meanwhile: Option<ApplyPolicy>,
}

impl Planner {
    /// An empty plan, with this version installed.
    pub(crate) fn new(first: Version) -> Self {
        Self { revisions: vec![first], steps: Vec::new(), meanwhile: None }
    }

    /// The version that a text names, by default the latest patch.
    pub(crate) fn resolve(text: &str) -> Result<Version, Unplannable> {
        let spec: VersionSpec = text.parse().map_err(|e| Unplannable::wrong(format!("{e}")))?;
        guide::resolve(&spec).map_err(|e| Unplannable::wrong(e.to_string()))
    }

    /// The steps so far.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps from the one with this index.
    pub(crate) fn steps_from(&mut self, index: usize) -> &mut [Step] {
        &mut self.steps[index..]
    }

    /// Whether policies wait for the next change.
    pub(crate) fn is_waiting(&self) -> bool {
        self.meanwhile.is_some()
    }

    /// The finished plan.
    pub(crate) fn finish(self) -> Vec<Step> {
        self.steps
    }

    /// The version that runs now.
    pub(super) fn current(&self) -> Version {
        match self.revisions.last() {
            Some(version) => version.clone(),
            None => unreachable!("the first version is a revision"),
        }
    }

    /// Adds a step that leaves the version as it is.
    pub(super) fn push(&mut self, name: impl Into<String>, action: Action) {
        self.add(Step::new(name.into(), action, self.current()));
    }

    /// Adds a step.
    pub(super) fn add(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Lets policies change during the next change of the agents.
    pub(super) fn during_next_change(&mut self, policies: ApplyPolicy) -> Result<(), Unplannable> {
        if self.is_waiting() {
            return Err(Unplannable::wrong("another step is waiting for the next change already"));
        }
        self.meanwhile = Some(policies);
        Ok(())
    }

    /// Goes to a version, which may be the one that runs.
    pub(super) fn go(&mut self, to: Version, action: Action) -> Result<(), Unplannable> {
        let from = self.current();
        if from == to {
            // The same template again is no new revision.
            let hop = self.stay(Direction::ReApply)?;
            self.change(hop, action);
            return Ok(());
        }
        let hop = hop(&from, &to)?;
        self.revisions.push(to);
        self.change(hop, action);
        Ok(())
    }

    /// Goes back to the revision before.
    pub(super) fn undo(&mut self, action: Action) -> Result<(), Unplannable> {
        let from = self.current();
        let Some(before) = self.revisions.len().checked_sub(2) else {
            return Err(Unplannable::wrong("there is no rollout to undo yet"));
        };
        // An undo makes the old revision the newest.
        let to = self.revisions.remove(before);
        let hop = if from == to { self.stay(Direction::Rollback)? } else { hop(&from, &to)? };
        self.revisions.push(to);
        self.change(Hop { direction: Direction::Rollback, ..hop }, action);
        Ok(())
    }

    /// Restarts the version that runs; `l3` is the impact, where it is not the one of every restart.
    pub(super) fn restart(&mut self, l3: Option<Impact>, action: Action) -> Result<(), Unplannable> {
        let hop = self.stay(Direction::Restart)?;
        self.revisions.push(hop.to.clone());
        self.change(Hop { l3: l3.unwrap_or(hop.l3), ..hop }, action);
        Ok(())
    }

    fn change(&mut self, hop: Hop, action: Action) {
        let [mut change, settle] = Step::change(hop, action);
        change.meanwhile = self.meanwhile.take();
        self.steps.extend([change, settle]);
    }

    /// A change that leaves the version: the guide's statement on micro versions holds.
    fn stay(&self, direction: Direction) -> Result<Hop, Unplannable> {
        let version = self.current();
        let row = guide::micro(&version, &version)
            .ok_or_else(|| Unplannable::wrong(format!("the guide says nothing of a restart of {version}")))?;
        Ok(Hop { from: version.clone(), to: version, direction, l3: row.l3, l7: row.l7 })
    }
}

fn hop(from: &Version, to: &Version) -> Result<Hop, Unplannable> {
    let options = Options { downgrade: true, direct: true };
    let plan = guide::plan_with(from, to, options).map_err(|e| Unplannable::Refused(e.to_string()))?;
    match &plan.stages[..] {
        [stage] => Ok(Hop::over(stage)),
        stages => {
            let stops: Vec<_> = stages.iter().map(|stage| stage.to.to_string()).collect();
            Err(Unplannable::wrong(format!("go from {from} to {} one after the other", stops.join(" and "))))
        }
    }
}
