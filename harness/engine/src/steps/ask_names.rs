//! The step `ask-names`.

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// Written `{}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskNames {}

impl StepAction for AskNames {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        planner.push("ask for names", Action::AskNames(self.clone()));
        Ok(())
    }

    async fn run(&self, _: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let asker = context.asker.as_ref().context("the traffic has no names; set `names` in `install`")?;
        Ok(asker.ask().await?.into())
    }

    fn suits_existing_clusters(&self) -> bool {
        false
    }
}
