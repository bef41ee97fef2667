//! The steps that leave the subject as it is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look<'a> {
    InAgents(&'a InAgents),
    Lint(&'a Lint),
    Scrape(&'a Scrape),
    StartBeside(&'a Beside),
    /// The name of the command.
    Hear(&'a str),
}

/// A command in every agent's container.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct InAgents {
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// What it reads from its standard input.
    pub input: Option<String>,
}

/// A lint against an upgrade from the version that runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Lint {
    /// Version of the upgrade.
    pub to: String,
    /// Oldest kernel of the nodes.
    pub kernel: Option<String>,
    /// Files beside the policies of the cluster, such as dashboards: text by name.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// The metrics that the agents serve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Scrape {
    /// Port on every node.
    pub port: u16,
    /// Beginning of the lines that the step says.
    pub lines: String,
}

/// A command that runs beside the agents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Beside {
    /// What it is called here.
    #[schemars(regex(pattern = r"^[a-z0-9]+$"))]
    pub name: String,
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
}
