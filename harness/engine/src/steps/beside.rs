//! The steps `start-beside` and `hear`: a command beside the agents, and its output.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use subject::Installation;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// A command that runs beside the agents.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Beside")]
pub struct StartBeside {
    /// Its name in other steps.
    #[schemars(regex(pattern = r"^[a-z0-9]+$"))]
    pub name: String,
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
}

/// The name of a command that was started.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Hear(pub String);

impl StartBeside {
    /// The step's name in the record.
    pub(crate) fn step_name(name: &str) -> String {
        format!("start {name}")
    }
}

impl Hear {
    /// The step's name in the record.
    pub(crate) fn step_name(name: &str) -> String {
        format!("hear {name}")
    }
}

impl StepAction for StartBeside {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        let (name, action) = (Self::step_name(&self.name), Action::StartBeside(self.clone()));
        planner.add(Step::new(name, action, planner.current()).keeping("started"));
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let (subject, image) = (context.subject(step), &context.release(&step.from)?.image);
        subject.start_beside(&self.name, image, &self.command).await?;
        output(&subject, &self.name).await
    }

    fn suits_existing_clusters(&self) -> bool {
        false
    }
}

impl StepAction for Hear {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        let starts = |step: &Step| matches!(&step.action, Action::StartBeside(it) if it.name == self.0);
        if !planner.steps().iter().any(starts) {
            return Err(Unplannable::wrong(format!("nothing was started under the name {}", self.0)));
        }
        let (name, action) = (Self::step_name(&self.0), Action::Hear(self.clone()));
        planner.add(Step::new(name, action, planner.current()).keeping("heard"));
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let subject = context.subject(step);
        let done = output(&subject, &self.0).await?;
        subject.end_beside(&self.0).await?;
        Ok(done)
    }
}

/// The output of a command so far.
async fn output(subject: &Installation, name: &str) -> anyhow::Result<Done> {
    let nodes = subject.output_beside(name).await?;
    let lines = nodes.iter().map(|(node, text)| format!("{} lines on {node}", text.lines().count()));
    let detail = Some(lines.collect::<Vec<_>>().join(", "));
    let content = nodes.iter().map(|(node, text)| json!({"node": node, "text": text})).collect();
    Ok(Done { detail, keep: Some((format!("said-{name}"), content)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its pods are in the namespace of the agents, where nothing removes them if the run is killed.
    #[test]
    fn pods_beside_the_agents_are_not_started_on_an_existing_cluster() {
        let start = StartBeside { name: "monitor".to_owned(), command: vec!["cilium".to_owned()] };
        assert!(!start.suits_existing_clusters());
    }
}
