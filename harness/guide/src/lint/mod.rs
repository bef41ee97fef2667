//! Finds policies, Prometheus rules and dashboards that a change of version breaks.

mod advice;
mod dns;
pub(crate) mod fields;
pub(crate) mod metrics;
pub(crate) mod policies;
pub(crate) mod prefixes;
pub mod render;
mod rules;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use metrics::METRICS_PREFIX;
pub use prefixes::prefix_lengths;
pub use rules::{RuleId, UnknownRule};

use crate::kernel::Kernel;
use crate::policy::{self, Policy};
use crate::yaml::{self, Position};
use model::{Minor, Version};

/// A file to lint.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name, as findings print it.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// The change of version that files are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Version before.
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// Oldest kernel of the nodes, if known.
    pub kernel: Option<Kernel>,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For information.
    Note,
    /// Traffic or its monitoring may change.
    Warning,
    /// A policy is rejected or traffic breaks.
    Error,
}

/// A problem that a change of version causes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The rule that found it.
    pub rule: RuleId,
    /// Its severity.
    pub level: Level,
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The problem and its object.
    pub message: String,
    /// The remedy.
    pub help: String,
}

/// The result of a lint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Always `seatrial/lint/v1`.
    pub schema: String,
    /// Version before.
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// Files read.
    pub files: usize,
    /// Policies found in them.
    pub policies: usize,
    /// PromQL expressions found in them.
    pub expressions: usize,
    /// Findings, by file and position.
    pub findings: Vec<Finding>,
}

impl Change {
    /// Tells whether an upgrade passes into a minor.
    fn enters(&self, major: u16, minor: u16) -> bool {
        let minor = Minor::new(major, minor);
        self.from.minor() < minor && minor <= self.to.minor()
    }
}

impl Report {
    /// The name of the JSON form.
    pub const SCHEMA: &'static str = "seatrial/lint/v1";

    /// Adds a file that cannot be opened.
    pub fn add_unreadable(&mut self, file: &str, message: &str) {
        self.findings.push(unreadable(file, Position { line: 1, column: 1 }, message, ""));
        self.sort();
    }

    fn sort(&mut self) {
        self.findings
            .sort_by(|a, b| (&a.file, a.line, a.column, a.rule).cmp(&(&b.file, b.line, b.column, b.rule)));
    }

    /// Tells whether the findings are notes only.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.level == Level::Note)
    }
}

/// A policy with its file.
struct Located<'a> {
    file: &'a str,
    policy: Policy,
}

impl Located<'_> {
    fn finding(&self, rule: RuleId, level: Level, at: Position, message: String, help: String) -> Finding {
        let file = self.file.to_owned();
        Finding { rule, level, file, line: at.line, column: at.column, message, help }
    }
}

/// Checks files against a change of version; a file that cannot be read is a finding, and the others are checked.
pub fn lint(sources: &[Source<'_>], change: &Change) -> Report {
    let mut policies = Vec::new();
    let mut expressions = 0;
    let mut findings = Vec::new();
    for source in sources {
        let documents = match yaml::documents(source.text) {
            Ok(documents) => documents,
            Err(error) => {
                findings.push(unreadable(source.file, error.position, &error.message, source.text));
                continue;
            }
        };
        for document in &documents {
            let found = policy::read(document).into_iter();
            policies.extend(found.map(|policy| Located { file: source.file, policy }));
            expressions += metrics::check(source.file, document, change, &mut findings);
        }
    }
    policies::check(&policies, change, &mut findings);
    prefixes::check(&policies, change, &mut findings);
    let mut report = Report {
        schema: Report::SCHEMA.to_owned(),
        from: change.from.clone(),
        to: change.to.clone(),
        files: sources.len(),
        policies: policies.len(),
        expressions,
        findings,
    };
    report.sort();
    report
}

fn unreadable(file: &str, at: Position, message: &str, text: &str) -> Finding {
    let help = if text.contains("{{") {
        "render the template with Helm first"
    } else {
        "correct the file, or leave it out"
    };
    Finding {
        rule: RuleId::UnreadableFile,
        level: Level::Error,
        file: file.to_owned(),
        line: at.line,
        column: at.column,
        message: format!("the file was not checked: {message}"),
        help: help.to_owned(),
    }
}

#[cfg(test)]
mod tests;
