//! The step `set-image`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// Expected duration of a rollout without a chart.
pub(super) const ROLLOUT: Duration = Duration::from_millis(5_000);

/// The image of a version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SetImage {
    /// Version.
    pub to: String,
}

impl StepAction for SetImage {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        planner.go(Planner::resolve(&self.to)?, Action::SetImage(self.clone()))
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        context.subject(step).set_image(&context.release(&step.to)?.image).await?;
        Ok(Done::silent())
    }

    fn expected(&self, _last: bool) -> Duration {
        ROLLOUT
    }
}
