//! The step `preflight`.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Version;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// Expected duration until it is READY on all nodes and deleted.
const EXPECTED: Duration = Duration::from_millis(3_500);

/// The pre-flight check of a version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Preflight {
    /// Version.
    pub to: String,
    /// Tag of the images, when it is not the version's.
    pub tag: Option<String>,
    /// Further values of its chart, such as `preflight.rmSvcV2`.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

impl Preflight {
    /// The step that checks `to` while `from` runs.
    pub(crate) fn step(self, from: Version, to: Version) -> Step {
        Step::new(format!("pre-flight check {to}"), Action::Preflight(self), from).onto(to)
    }
}

impl StepAction for Preflight {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        let to = Planner::resolve(&self.to)?;
        let step = self.clone().step(planner.current(), to);
        planner.add(step);
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let mut release = context.tagged(&step.to, self.tag.as_deref())?;
        release.chart.values.extend(self.set.clone());
        Ok(context.subject(step).preflight(&release.chart).await?.into())
    }

    fn expected(&self, _last: bool) -> Duration {
        EXPECTED
    }
}
