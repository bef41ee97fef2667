//! The step `rollout-undo`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::set_image::ROLLOUT;
use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// Written `{}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutUndo {}

impl StepAction for RolloutUndo {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        planner.undo(Action::RolloutUndo(self.clone()))
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let (subject, wanted) = (context.subject(step), &context.release(&step.to)?.image);
        let revision = subject.rollout_undo().await?;
        let image = subject.agent_image().await?;
        anyhow::ensure!(
            image == *wanted,
            "the rollback ended, but the agents run {image} instead of {wanted}"
        );
        Ok(format!("back to revision {revision}, {image}").into())
    }

    fn expected(&self, _last: bool) -> Duration {
        ROLLOUT
    }
}
