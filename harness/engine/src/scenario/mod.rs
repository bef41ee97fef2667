//! Scenarios: each arm is a separate run, checked against the expectations of its file.

mod effect;
mod embedded;
mod expect;
mod file;
mod heard;
mod judge;
mod objects;
pub mod planned;
mod record;
mod run;
mod steps;
mod sums;

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use crate::command_line::CommandLine;
use crate::exit::{self, Usage};
use crate::provider::Provider;
pub use crate::steps::Arm;
use crate::subjects::SubjectArgs;
use file::Scenario;
pub use judge::{JudgeArgs, judge_against};

/// What to do with scenarios.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the built-in scenarios.
    List {
        /// Output format.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Print the file of a scenario.
    Show {
        /// Name, as `list` shows it.
        name: String,
    },
    /// Run scenarios, each arm on a fresh cluster, and check them.
    Run(Box<RunArgs>),
    /// Check recorded runs against the expectations of their scenarios.
    Judge(JudgeArgs),
}

/// How to print the list.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Output {
    /// A table.
    Table,
    /// JSON.
    Json,
}

/// Arguments of `seatrial scenario run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Names, as `list` shows them, or files.
    #[arg(required_unless_present = "all", value_name = "NAME|FILE")]
    scenarios: Vec<String>,
    /// Run all built-in scenarios.
    #[arg(long, conflicts_with = "scenarios")]
    all: bool,
    /// Run this arm only.
    #[arg(long, value_enum)]
    arm: Option<Arm>,
    #[command(flatten)]
    subject: SubjectArgs,
    /// Folder for run folders.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Also list the flows without losses.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    provider: Provider,
}

impl RunArgs {
    /// What was named, read.
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

/// Runs the command.
///
/// # Errors
/// When a scenario cannot be read, or a run folder cannot be written.
pub async fn run(command: Command, line: CommandLine, out: &mut dyn Write) -> anyhow::Result<u8> {
    match command {
        Command::List { output } => list(output, out),
        Command::Show { name } => {
            let text = embedded::text(&name).ok_or_else(|| unknown(&name))?;
            out.write_all(text.as_bytes())?;
            Ok(exit::PASSED)
        }
        Command::Run(args) => Box::pin(run::run(&args, line, out)).await,
        Command::Judge(args) => judge_against(&args, None, out),
    }
}

/// Name and text of the scenarios that are compiled in.
pub fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    embedded::ALL.iter().copied()
}

fn list(output: Output, out: &mut dyn Write) -> anyhow::Result<u8> {
    let scenarios = embedded::ALL.iter().map(|(name, text)| Scenario::parse(name, text));
    let scenarios = scenarios.collect::<Result<Vec<_>, _>>()?;
    let arms = |scenario: &Scenario| scenario.arms().iter().map(ToString::to_string).collect::<Vec<_>>();
    match output {
        Output::Table => {
            let width = scenarios.iter().map(|scenario| scenario.name.value.len()).max().unwrap_or_default();
            for scenario in &scenarios {
                let (name, arms) = (&scenario.name.value, arms(scenario).join(", "));
                writeln!(out, "{name:width$}  {arms:17}  {}", scenario.title)?;
            }
        }
        Output::Json => {
            let row = |scenario: &Scenario| {
                serde_json::json!({
                    "name": scenario.name.value, "title": scenario.title, "guide": scenario.guide,
                    "hazard": scenario.hazard.as_ref().map(|hazard| &hazard.value), "arms": arms(scenario), "notes": scenario.notes,
                })
            };
            let rows: Vec<_> = scenarios.iter().map(row).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
        }
    }
    Ok(exit::PASSED)
}

/// Reads what was named: a file where it is one, else a scenario that is compiled in.
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
