//! The step `in-agents`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// A command in every agent's container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InAgents {
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Its standard input.
    pub input: Option<String>,
}

impl StepAction for InAgents {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        if self.command.is_empty() {
            return Err(Unplannable::wrong("in-agents names no command"));
        }
        planner.push(self.command.join(" "), Action::InAgents(self.clone()));
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let subject = context.subject(step);
        let outputs = subject.in_agents(&self.command, self.input.as_deref()).await?;
        let line = |it: &subject::Output| format!("{}: exit {}: {}", it.node, it.code, it.output.trim_end());
        Ok(outputs.iter().map(line).collect::<Vec<_>>().join("\n").into())
    }
}
