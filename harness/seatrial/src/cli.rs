//! The command line: arguments in, exit code out.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{commands, given};
use engine::command_line::CommandLine;
use engine::redact::redact;
use engine::{errors, exit};

/// Measure what an upgrade of Cilium does to traffic, on ephemeral or existing clusters.
#[derive(Debug, Parser)]
#[command(name = "seatrial", version, max_term_width = 80, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 passed, 1 findings, 2 bad usage or input, 3 errored (harness, cluster or \
                          environment), 4 nothing ran or a required part was skipped, 130 interrupted.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure an upgrade: install FROM, send traffic, upgrade to TO, report.
    Run(Box<commands::run::Args>),
    /// Measure an existing cluster while you change it with any tool.
    Watch(commands::watch::Args),
    /// Write the image of the probes to a file, for existing clusters.
    Image(commands::image::Args),
    /// Show the upgrade path between two versions, and the required changes.
    Plan(commands::plan::Args),
    /// Rebase a ConfigMap or Helm values onto another version, with their comments.
    Rebase(commands::rebase::Args),
    /// Find policies, rules and dashboards that an upgrade breaks.
    Lint(commands::lint::Args),
    /// Show recorded runs, or write their reports.
    Report(commands::report::Args),
    /// Compare two recorded runs: which flows had longer outages.
    Compare(commands::compare::Args),
    /// List the runs in a folder with their outcomes.
    History(commands::history::Args),
    /// Write a bundle that reproduces a recorded run elsewhere.
    Repro(commands::repro::Args),
    /// Run scenarios and check them against their expectations.
    #[command(subcommand)]
    Scenario(commands::scenario::Command),
    /// List all trials in shards of about equal length, for CI.
    Matrix(commands::matrix::Args),
    /// Create, list and delete clusters.
    #[command(subcommand)]
    Cluster(commands::cluster::Command),
    /// Remove leftovers of crashed runs; live clusters are not touched.
    Gc,
    /// Check the requirements of a sandbox, and print how to install what is missing.
    Doctor(commands::doctor::Args),
    /// Inject outages of known duration, and report the accuracy of the measurement.
    Calibrate(commands::calibrate::Args),
    /// Print the completion script of a shell.
    Completions(commands::completions::Args),
    /// Write the manual pages to a folder.
    Man(commands::man::Args),
}

/// Runs the command.
pub(crate) fn main() -> ExitCode {
    let (command, line) = match parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(e) => e.exit(),
    };
    match dispatch(command, line) {
        Ok(code) => ExitCode::from(code),
        Err(e) => complain(&e),
    }
}

/// The command that these words give, and the command line that gives it again.
pub(crate) fn parse<W>(words: impl IntoIterator<Item = W>) -> Result<(Command, CommandLine), clap::Error>
where
    W: Into<OsString> + Clone,
{
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(words)?;
    let line = given::command_line(&command, &matches);
    let cli = Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))?;
    Ok((cli.command, line))
}

fn dispatch(command: Command, line: CommandLine) -> anyhow::Result<u8> {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    match command {
        Command::Plan(args) => commands::plan::run(&args, &mut out),
        Command::Rebase(args) => commands::rebase::run(&args, &mut out, &mut err),
        Command::Lint(args) => commands::lint::run(&args, &mut out, &mut err),
        Command::Report(args) => commands::report::run(&args),
        Command::Compare(args) => commands::compare::run(&args, &mut out),
        Command::History(args) => commands::history::run(&args, &mut out, &mut err),
        Command::Repro(args) => commands::repro::run(&args, &mut out),
        Command::Run(args) => block_on(commands::run::run(*args, line, &mut out)),
        Command::Watch(args) => block_on(commands::watch::run(args, &line)),
        Command::Image(args) => block_on(commands::image::run(args)),
        Command::Scenario(command) => block_on(commands::scenario::run(command, line, &mut out)),
        Command::Matrix(args) => commands::matrix::run(&args, &line, &mut out),
        Command::Cluster(command) => block_on(commands::cluster::run(command)),
        Command::Gc => block_on(commands::gc::run()),
        Command::Calibrate(args) => block_on(commands::calibrate::run(args, &mut out)),
        Command::Doctor(args) => block_on(commands::doctor::run(args)),
        Command::Completions(args) => commands::completions::run(&args, Cli::command(), &mut out),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
    }
}

/// Only commands that talk to a cluster pay for a runtime.
fn block_on(work: impl Future<Output = anyhow::Result<u8>>) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(work);
    // A command that was interrupted twice does not wait for anything any more.
    runtime.shutdown_background();
    ended
}

/// Prints an error with its causes; bad usage has an exit code of its own.
fn complain(error: &anyhow::Error) -> ExitCode {
    let text = redact(&format!("error: {}\n", errors::causes(error).join("\n  because: ")));
    // With standard error closed there is nobody left to tell.
    let told = std::io::stderr().write_all(text.as_bytes());
    let usage = error.is::<exit::Usage>();
    ExitCode::from(if usage && told.is_ok() { exit::USAGE } else { exit::ERRORED })
}
