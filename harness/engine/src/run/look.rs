//! Steps that leave the subject as it is: what its agents say, serve and do, and what a lint says of its policies.

use std::collections::BTreeMap;

use guide::Version;
use guide::lint::{Change, Source, lint, render};
use serde_json::{Value, json};
use subject::Subject;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// A command in every agent's container, with this on its standard input.
    InAgents(Vec<String>, Option<String>),
    /// A lint of the policies of the cluster, and of these files.
    Lint(Change, BTreeMap<String, String>),
    /// The metrics on this port that begin so.
    Scrape(Version, u16, String),
    /// A command of this version's image is started beside the agents, under a name.
    StartBeside(Version, String, Vec<String>),
    /// The command of this name is ended, and heard.
    Hear(String),
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What there is to say.
    pub(super) detail: Option<String>,
    /// What is kept beside the subject's objects.
    pub(super) keep: Option<(String, Value)>,
}

impl Look {
    /// What the step is called.
    pub(super) fn name(&self) -> String {
        match self {
            Self::InAgents(command, _) => command.join(" "),
            Self::Lint(change, _) => format!("lint against {}", change.to),
            Self::Scrape(version, ..) => format!("scrape {version}"),
            Self::StartBeside(_, name, _) => format!("start {name}"),
            Self::Hear(name) => format!("hear {name}"),
        }
    }

    /// Looks; `image` is the agents' of the version that it names.
    pub(super) async fn take(&self, subject: &Subject, image: Option<&str>) -> anyhow::Result<Seen> {
        let detail = match self {
            Self::InAgents(command, input) => {
                let said = subject.in_agents(command, input.as_deref()).await?;
                let shown =
                    |it: &subject::Said| format!("{}: exit {}: {}", it.node, it.code, it.output.trim_end());
                Some(said.iter().map(shown).collect::<Vec<_>>().join("\n"))
            }
            Self::Lint(change, files) => Some(linted(&subject.policies().await?, files, change)?),
            Self::Scrape(_, port, start) => {
                let read = subject.metrics(*port).await?;
                Some(read.iter().map(|(node, text)| wanted(node, text, start)).collect::<Vec<_>>().join("\n"))
            }
            Self::StartBeside(_, name, command) => {
                subject.start_beside(name, image.unwrap_or_default(), command).await?;
                return said(subject, name).await;
            }
            Self::Hear(name) => {
                let seen = said(subject, name).await?;
                subject.end_beside(name).await?;
                return Ok(seen);
            }
        };
        Ok(Seen { detail, keep: None })
    }
}

/// What a command beside the agents has said so far.
async fn said(subject: &Subject, name: &str) -> anyhow::Result<Seen> {
    let heard = subject.said_beside(name).await?;
    let lines = heard.iter().map(|(node, text)| format!("{} lines on {node}", text.lines().count()));
    let detail = Some(lines.collect::<Vec<_>>().join(", "));
    let kept = heard.iter().map(|(node, text)| json!({"node": node, "text": text})).collect();
    Ok(Seen { detail, keep: Some((format!("said-{name}"), kept)) })
}

fn linted(policies: &str, files: &BTreeMap<String, String>, change: &Change) -> anyhow::Result<String> {
    let files = files.iter().map(|(file, text)| Source { file, text });
    let sources: Vec<_> = [Source { file: "cluster", text: policies }].into_iter().chain(files).collect();
    let report = lint(&sources, change).map_err(|broken| {
        let lines: Vec<_> = broken.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("what is to be linted cannot be read: {}", lines.join("; "))
    })?;
    Ok(render::text(&report).trim_end().to_owned())
}

fn wanted(node: &str, text: &str, start: &str) -> String {
    let lines = text.lines().filter(|line| line.starts_with(start));
    std::iter::once(format!("{node}:").as_str()).chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_metrics_only_those_that_were_asked_for_are_said() {
        let text = "# TYPE a counter\na_one 1\nb 2\na_two 3\n";
        assert_eq!(wanted("node1", text, "a_"), "node1:\na_one 1\na_two 3");
    }

    #[test]
    fn policies_and_files_are_linted_together() {
        let change = Change { from: "1.5.13".parse().unwrap(), to: "1.6.12".parse().unwrap(), kernel: None };
        let rules = "groups: [{name: g, rules: [{alert: A, expr: cilium_policy_l7_denied_total > 1}]}]";
        let files = BTreeMap::from([("rules.yaml".to_owned(), rules.to_owned())]);
        let said = linted("", &files, &change).unwrap();
        assert!(said.contains("rules.yaml") && said.contains("policy_l7_total"), "{said}");
        let broken = BTreeMap::from([("rules.yaml".to_owned(), "groups: [".to_owned())]);
        assert!(linted("", &broken, &change).unwrap_err().to_string().contains("rules.yaml"));
    }
}
