//! The step `wait`.

use std::time::Duration;

use model::Version;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// A quiet period.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wait {
    /// Seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub seconds: u16,
}

impl Wait {
    /// The step, while `version` runs.
    #[must_use]
    pub fn step(self, version: Version) -> Step {
        Step::new(format!("wait {} s", self.seconds), Action::Wait(self), version)
    }

    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

impl StepAction for Wait {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        let step = self.clone().step(planner.current());
        planner.add(step);
        Ok(())
    }

    async fn run(&self, _: &Step, _: &StepContext<'_>) -> anyhow::Result<Done> {
        measured_for(self.length()).await.map(|()| Done::silent())
    }

    fn expected(&self, _last: bool) -> Duration {
        self.length()
    }
}

/// Measures for a while without a change.
pub(crate) async fn measured_for(length: Duration) -> anyhow::Result<()> {
    let length_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    let until_ns = probe::clock::now_ns().saturating_add(length_ns);
    let probe = async || {
        let left = until_ns.saturating_sub(probe::clock::now_ns());
        if left == 0 { Ok(()) } else { Err(format!("{} ms to go", left / 1_000_000)) }
    };
    let condition = format!("{} s of samples", length.as_secs());
    Ok(cluster::wait::until(&condition, length.saturating_mul(2), Duration::from_millis(50), probe).await?)
}
