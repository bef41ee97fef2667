//! Scenarios: each arm is a separate run, checked against the expectations of its file.

mod effect;
mod embedded;
mod expect;
mod file;
mod heard;
mod judge;
mod objects;
mod pattern;
pub mod planned;
mod record;
mod run;
mod steps;
mod sums;

use futures_util::future::LocalBoxFuture;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use subject::SubjectOptions;

use crate::command_line::CommandLine;
use crate::exit::Usage;
use crate::provider::Provider;
pub use crate::steps::Arm;
use file::{Scenario, ScenarioError};
pub use judge::{JudgeOptions, judge};

/// Which scenarios run, and how.
#[derive(Clone, Debug)]
pub struct ScenarioOptions {
    /// Names of built-in scenarios, or files.
    pub scenarios: Vec<String>,
    /// Whether all built-in scenarios run.
    pub all: bool,
    /// The only arm that runs.
    pub arm: Option<Arm>,
    /// The options of the subject.
    pub subject: SubjectOptions,
    /// The folder for run folders.
    pub out: PathBuf,
    /// Whether summaries list flows that lost nothing.
    pub verbose: bool,
    /// The provider.
    pub provider: Provider,
}

impl ScenarioOptions {
    /// Reads the scenarios.
    fn sources(&self) -> Result<Vec<Source>, Usage> {
        if self.all {
            return embedded::ALL.iter().map(|(name, text)| source(name, text)).collect();
        }
        self.scenarios.iter().map(|named| read(named)).collect()
    }
}

/// A scenario and where it was read.
#[derive(Debug)]
struct Source {
    file: String,
    text: String,
    scenario: Scenario,
}

/// Runs scenarios, each arm after the other, and returns the exit code.
///
/// # Errors
/// When an option or a file is wrong, or a run folder cannot be written.
pub fn run<'a>(
    options: &'a ScenarioOptions,
    line: CommandLine,
    out: &'a mut dyn Write,
) -> LocalBoxFuture<'a, anyhow::Result<u8>> {
    Box::pin(run::run(options, line, out))
}

/// Name and text of the built-in scenarios.
pub fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    embedded::ALL.iter().copied()
}

/// The text of a built-in scenario.
///
/// # Errors
/// When there is none of this name.
pub fn text(name: &str) -> Result<&'static str, Usage> {
    embedded::text(name).ok_or_else(|| unknown(name))
}

/// A scenario, for lists.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// One line on what it shows.
    pub title: String,
    /// Section of the upgrade guide.
    pub guide: String,
    /// Hazard of the guide that it shows.
    pub hazard: Option<String>,
    /// Its arms.
    pub arms: Vec<Arm>,
    /// Notes for readers.
    pub notes: Option<String>,
}

/// The built-in scenarios, in order of name.
///
/// # Errors
/// When a file is wrong.
pub fn summaries() -> Result<Vec<Summary>, ScenarioError> {
    let summary = |(name, text): &(&str, &str)| {
        let scenario = Scenario::parse(name, text)?;
        let arms = scenario.arms();
        let Scenario { name, title, guide, hazard, notes, .. } = scenario;
        Ok(Summary { name: name.value, title, guide, hazard: hazard.map(|it| it.value), arms, notes })
    };
    embedded::ALL.iter().map(summary).collect()
}

/// Reads a file, or a built-in scenario where there is no such file.
fn read(named: &str) -> Result<Source, Usage> {
    let path = Path::new(named);
    let text = if path.is_file() {
        std::fs::read_to_string(path).map_err(|e| Usage(format!("cannot read {named}: {e}")))?
    } else {
        embedded::text(named).ok_or_else(|| unknown(named))?.to_owned()
    };
    source(named, &text)
}

fn source(file: &str, text: &str) -> Result<Source, Usage> {
    let scenario = Scenario::parse(file, text).map_err(|e| Usage(e.to_string()))?;
    Ok(Source { file: file.to_owned(), text: text.to_owned(), scenario })
}

fn unknown(name: &str) -> Usage {
    let mut message = format!("there is no file and no scenario {name}; the scenarios are");
    for (known, _) in embedded::ALL {
        // Writing to a string does not fail.
        let written = write!(message, " {known}");
        debug_assert!(written.is_ok());
    }
    Usage(message)
}
