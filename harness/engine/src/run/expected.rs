//! How long a run is expected to take, from its steps. Shards are balanced by it; nothing is judged by it.

use std::time::Duration;

use super::procedure::{Action, Procedure, SETTLE, SOAK, Step, Way};

/// From nothing to the end of the baseline, and taking down: what every run does.
const AROUND: Duration = Duration::from_millis(18_000);
/// What a pre-flight check takes until it is READY on all nodes and gone again.
const PREFLIGHT: Duration = Duration::from_millis(3_500);
/// What a change of the ConfigMap takes.
const CONFIG: Duration = Duration::from_millis(300);
/// What a rollout takes for which a chart is rendered and applied.
const APPLIED: Duration = Duration::from_millis(6_500);
/// What any other rollout takes.
const ROLLED: Duration = Duration::from_millis(5_000);

impl Procedure {
    /// The wall time of a run that follows this, on a machine with two cores; a guess, good to about a fifth.
    pub fn expected(&self) -> Duration {
        // Where a step is there to fail, the procedure ends.
        let ends = self.steps.iter().position(|step| step.may_fail && step.within.is_some());
        let taken = &self.steps[..ends.map_or(self.steps.len(), |end| end + 1)];
        let left = (0..self.steps.len()).rev();
        AROUND + taken.iter().zip(left).map(|(step, left)| expected(step, left == 0)).sum::<Duration>()
    }
}

fn expected(step: &Step, last: bool) -> Duration {
    match (&step.action, step.within) {
        // A step that may fail is there to fail, and takes all the time that it is given.
        (Action::Preflight(_) | Action::Change(..), Some(within)) if step.may_fail => within,
        (Action::Preflight(_), _) => PREFLIGHT,
        (Action::Change(_, Way::Chart(_) | Way::ChartAndConfig), _) => APPLIED,
        (Action::Change(..), _) => ROLLED,
        (Action::Settle(_), _) if last => SOAK,
        (Action::Settle(_), _) => SETTLE,
        (Action::Wait(length), _) => *length,
        // What is left changes an object or two.
        _ => CONFIG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_steps_take_longer_and_the_last_settling_longest() {
        let plan = guide::plan(&"1.5.13".parse().unwrap(), &"1.6.12".parse().unwrap()).unwrap();
        let there = Procedure::of_plan(&plan, false).expected();
        let back = Procedure::of_plan(&plan, true).expected();
        assert_eq!(there, AROUND + PREFLIGHT + CONFIG + APPLIED + SOAK);
        assert_eq!(back, there + ROLLED + SETTLE);
    }

    #[test]
    fn a_step_that_is_there_to_fail_takes_all_its_time_and_is_the_last() {
        let target = super::super::procedure::Target {
            version: "1.6.12".parse().unwrap(),
            tag: None,
            set: std::collections::BTreeMap::new(),
        };
        let mut step = Step::preflight(target);
        step.within = Some(Duration::from_secs(10));
        assert_eq!(expected(&step, false), PREFLIGHT);
        step.may_fail = true;
        assert_eq!(expected(&step, false), Duration::from_secs(10));
        let steps = vec![step, Step::wait(Duration::from_secs(60))];
        let procedure = Procedure { first: "1.5.13".parse().unwrap(), steps };
        assert_eq!(procedure.expected(), AROUND + Duration::from_secs(10));
    }
}
