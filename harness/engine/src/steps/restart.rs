//! The step `restart`.

use std::time::Duration;

use model::Impact;
use schemars::JsonSchema;
use serde::Deserialize;

use super::set_image::ROLLOUT;
use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// A restart of the agents.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Restart {
    /// The guide's impact on layers 3 and 4, where it differs from that of every restart.
    #[schemars(with = "Option<String>")]
    pub l3: Option<Impact>,
}

impl StepAction for Restart {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        planner.restart(self.l3, Action::Restart(self.clone()))
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        context.subject(step).restart(&jiff::Timestamp::now().to_string()).await?;
        Ok(Done::silent())
    }

    fn expected(&self, _last: bool) -> Duration {
        ROLLOUT
    }
}
