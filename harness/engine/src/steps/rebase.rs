//! The step `rebase`: the guide's way to keep a ConfigMap and get the new options.

use std::collections::BTreeSet;

use anyhow::Context as _;
use guide::rebase::{Request, Template, rebase, render};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// A rebase of the cluster's ConfigMap onto the template of a version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rebase {
    /// Version.
    pub to: String,
}

impl StepAction for Rebase {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        let to = Planner::resolve(&self.to)?;
        let name = format!("rebase onto {to}");
        planner.add(Step::new(name, Action::Rebase(self.clone()), planner.current()).onto(to));
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let exported = context.subject.config_map().await?;
        let rendered = context.release(&step.to)?.chart.config_map().await?;
        let template = Template::read(&rendered).context("the chart's ConfigMap cannot be read")?;
        let request = Request {
            from: &step.from,
            to: &step.to,
            template: Some(&template),
            adopt: BTreeSet::new(),
            comments: false,
        };
        let rebased = rebase(&exported, &request).context("the cluster's ConfigMap cannot be rebased")?;
        context.subject.replace_config(&rebased.text).await?;
        Ok(render::summary(&rebased).into())
    }
}
