//! The step `scrape`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// The metrics that the agents serve.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scrape {
    /// Port on every node.
    pub port: u16,
    /// Beginning of the lines that are recorded.
    pub lines: String,
}

impl StepAction for Scrape {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        planner.push(format!("scrape {}", planner.current()), Action::Scrape(self.clone()));
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let metrics = context.subject(step).metrics(self.port).await?;
        let nodes = metrics.iter().map(|(node, text)| select(node, text, &self.lines));
        Ok(nodes.collect::<Vec<_>>().join("\n").into())
    }
}

fn select(node: &str, text: &str, start: &str) -> String {
    let lines = text.lines().filter(|line| line.starts_with(start));
    std::iter::once(format!("{node}:").as_str()).chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_metrics_that_were_selected_are_recorded() {
        let text = "# TYPE a counter\na_one 1\nb 2\na_two 3\n";
        assert_eq!(select("node1", text, "a_"), "node1:\na_one 1\na_two 3");
    }
}
