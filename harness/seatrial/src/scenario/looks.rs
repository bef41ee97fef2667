//! The steps that leave the subject as it is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look<'a> {
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
pub(crate) struct InAgents {
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    pub(crate) command: Vec<String>,
    /// What it reads from its standard input.
    pub(crate) input: Option<String>,
}

/// A lint against an upgrade from the version that runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Lint {
    /// Version of the upgrade.
    pub(crate) to: String,
    /// Oldest kernel of the nodes.
    pub(crate) kernel: Option<String>,
    /// Files beside the policies of the cluster, such as dashboards: text by name.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
}

/// The metrics that the agents serve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Scrape {
    /// Port on every node.
    pub(crate) port: u16,
    /// Beginning of the lines that the step says.
    pub(crate) lines: String,
}

/// A command that runs beside the agents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Beside {
    /// What it is called here.
    #[schemars(regex(pattern = r"^[a-z0-9]+$"))]
    pub(crate) name: String,
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    pub(crate) command: Vec<String>,
}
