//! The step `edit-config`.

use std::collections::BTreeMap;

use model::Version;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// Keys of the ConfigMap, and their values.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct EditConfig(pub BTreeMap<String, String>);

impl EditConfig {
    /// The step of this name.
    pub(crate) fn step(self, name: String, version: Version) -> Step {
        Step::new(name, Action::EditConfig(self), version)
    }

    fn keys(&self) -> String {
        self.0.keys().cloned().collect::<Vec<_>>().join(", ")
    }
}

impl StepAction for EditConfig {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        planner.push(format!("edit {}", self.keys()), Action::EditConfig(self.clone()));
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        context.subject(step).edit_config(&self.0).await?;
        Ok(self.keys().into())
    }
}
