//! The step `upgrade`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use subject::Parts;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// Expected duration of a rollout for which a chart is rendered and applied.
const EXPECTED: Duration = Duration::from_millis(6_500);

/// Manifests of a version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Upgrade {
    /// Version.
    pub to: String,
    /// Tag of the images, when it is not the version's.
    pub tag: Option<String>,
    /// What becomes of the ConfigMap.
    #[serde(default)]
    pub config_map: ConfigMap,
}

/// What becomes of the ConfigMap in an upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigMap {
    /// It stays: Option B of the guide.
    #[default]
    Preserved,
    /// It becomes the chart's: Option A.
    Regenerated,
}

impl Upgrade {
    /// The parts of the chart that are applied.
    pub(crate) fn parts(&self) -> Parts {
        match self.config_map {
            ConfigMap::Preserved => Parts::WithoutConfig,
            ConfigMap::Regenerated => Parts::All,
        }
    }
}

impl StepAction for Upgrade {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        planner.go(Planner::resolve(&self.to)?, Action::Upgrade(self.clone()))
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        context.subject(step).upgrade(&context.rendered).await?;
        Ok(Done::silent())
    }

    fn expected(&self, _last: bool) -> Duration {
        EXPECTED
    }
}
