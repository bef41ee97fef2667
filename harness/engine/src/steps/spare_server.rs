//! The step `spare-server`.

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// What becomes of the spare server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SpareServer {
    /// It is created, and becomes ready.
    Added,
    /// It leaves the Service, and is deleted.
    Removed,
}

impl StepAction for SpareServer {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        let name = match self {
            Self::Added => "add a server",
            Self::Removed => "remove a server",
        };
        planner.push(name, Action::SpareServer(*self));
        Ok(())
    }

    async fn run(&self, _: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let spare = context.spare.as_ref().context("the traffic has no servers")?;
        match self {
            Self::Added => Ok(spare.add().await?.into()),
            Self::Removed => {
                spare.remove().await?;
                Ok(Done::silent())
            }
        }
    }
}
