//! The measurement after a change.

use std::time::Duration;

use super::wait::measured_for;
use super::{Done, Planner, Step, StepAction, StepContext, Unplannable};

/// How long is measured after a change, when another step follows.
pub(crate) const SETTLE: Duration = Duration::from_secs(5);
/// How long is measured after the last one: a fault may show only after a while.
pub(crate) const SOAK: Duration = Duration::from_secs(12);

/// Measures on after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {}

fn length(last: bool) -> Duration {
    if last { SOAK } else { SETTLE }
}

impl StepAction for Settle {
    fn plan(&self, _: &mut Planner) -> Result<(), Unplannable> {
        unreachable!("it follows each change by itself")
    }

    async fn run(&self, _: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        measured_for(length(context.last)).await.map(|()| Done::silent())
    }

    fn expected(&self, last: bool) -> Duration {
        length(last)
    }
}
