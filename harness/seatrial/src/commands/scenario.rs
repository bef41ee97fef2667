//! `seatrial scenario`: lists, runs and judges scenarios.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use engine::command_line::CommandLine;
use engine::exit;
use engine::scenario::{self, JudgeOptions, ScenarioOptions};
use engine::steps::Arm;

use crate::options::{ProviderArgs, SubjectArgs, arm};

/// What to do with scenarios.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
pub(crate) enum Output {
    Table,
    Json,
}

/// Arguments of `seatrial scenario run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Names, as `list` shows them, or files.
    #[arg(required_unless_present = "all", value_name = "NAME|FILE")]
    scenarios: Vec<String>,
    /// Run all built-in scenarios.
    #[arg(long, conflicts_with = "scenarios")]
    all: bool,
    /// Run this arm only.
    #[arg(long, value_parser = arm())]
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
    provider: ProviderArgs,
}

/// Arguments of `seatrial scenario judge`.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    /// Run folders, or folders of run folders.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Judge runs of this arm only.
    #[arg(long, value_parser = arm())]
    arm: Option<Arm>,
}

/// Runs the command.
pub(crate) async fn run(command: Command, line: CommandLine, out: &mut dyn Write) -> anyhow::Result<u8> {
    match command {
        Command::List { output } => list(output, out),
        Command::Show { name } => {
            out.write_all(scenario::text(&name)?.as_bytes())?;
            Ok(exit::PASSED)
        }
        Command::Run(args) => {
            let options = ScenarioOptions {
                scenarios: args.scenarios,
                all: args.all,
                arm: args.arm,
                subject: args.subject.options(),
                out: args.out,
                verbose: args.verbose,
                provider: args.provider.choice(),
            };
            scenario::run(&options, line, out).await
        }
        Command::Judge(JudgeArgs { runs, arm }) => scenario::judge(&JudgeOptions { runs, arm }, None, out),
    }
}

fn list(output: Output, out: &mut dyn Write) -> anyhow::Result<u8> {
    let scenarios = scenario::summaries()?;
    match output {
        Output::Table => {
            let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or_default();
            for scenario in &scenarios {
                let arms = scenario.arms.iter().map(|arm| arm.as_str()).collect::<Vec<_>>().join(", ");
                writeln!(out, "{:width$}  {arms:17}  {}", scenario.name, scenario.title)?;
            }
        }
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&scenarios)?)?,
    }
    Ok(exit::PASSED)
}
