//! The command line: arguments in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands;
use engine::{errors, exit, run, scenario};

/// What an upgrade of Cilium does to your traffic, measured on an ephemeral cluster.
#[derive(Debug, Parser)]
#[command(name = "seatrial", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 passed, 1 findings, 2 bad usage or input, 3 errored (harness, cluster or \
                          environment), 4 nothing ran or a required part was skipped, 130 interrupted.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure an upgrade: install FROM on a fresh cluster, send traffic, upgrade to TO, report.
    Run(Box<run::Args>),
    /// Measure a cluster that is there, while you change it by whatever tool.
    Watch(run::watch::Args),
    /// Write the image of the probes to a file, for clusters that are there.
    Image(commands::image::Args),
    /// Say which way to go from one version to another, and what must be changed first.
    Plan(commands::plan::Args),
    /// Rebase a ConfigMap onto another version without losing a comment.
    Rebase(commands::rebase::Args),
    /// Find the policies, rules and dashboards that an upgrade breaks.
    Lint(commands::lint::Args),
    /// Show recorded runs again, or write their reports.
    Report(commands::report::Args),
    /// Hold one recorded run against another: which flows were out for longer.
    Compare(commands::compare::Args),
    /// List the runs that a folder holds, with what came of them.
    History(commands::history::Args),
    /// Pack what it takes to run a recorded run again elsewhere.
    Repro(commands::repro::Args),
    /// Run upgrade stories from files, and hold them against what they expect.
    #[command(subcommand)]
    Scenario(scenario::Command),
    /// List everything that there is to run, in shards of about the same length, for CI.
    Matrix(commands::matrix::Args),
    /// Bring up, list and take down clusters by hand.
    #[command(subcommand)]
    Cluster(commands::cluster::Command),
    /// Remove what crashed runs have left behind; live clusters are never touched.
    Gc,
    /// Say what this machine lacks for a sandbox, and the command that brings it.
    Doctor(commands::doctor::Args),
    /// Inject outages of known length and say how exactly they are measured here.
    Calibrate(engine::calibrate::Args),
}

/// Runs the command.
pub(crate) fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(e) => complain(&e),
    }
}

fn dispatch(command: Command) -> anyhow::Result<u8> {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    match command {
        Command::Plan(args) => commands::plan::run(&args, &mut out),
        Command::Rebase(args) => commands::rebase::run(&args, &mut out, &mut err),
        Command::Lint(args) => commands::lint::run(&args, &mut out, &mut err),
        Command::Report(args) => commands::report::run(&args),
        Command::Compare(args) => commands::compare::run(&args, &mut out),
        Command::History(args) => commands::history::run(&args, &mut out, &mut err),
        Command::Repro(args) => commands::repro::run(&args, &mut out),
        Command::Run(args) => block_on(run::run(*args)),
        Command::Watch(args) => block_on(run::watch::run(args)),
        Command::Image(args) => block_on(commands::image::run(args)),
        Command::Scenario(command) => block_on(scenario::run(command, &mut out)),
        Command::Matrix(args) => commands::matrix::run(&args, &mut out),
        Command::Cluster(command) => block_on(commands::cluster::run(command)),
        Command::Gc => block_on(commands::gc::run()),
        Command::Calibrate(args) => block_on(engine::calibrate::run(args, &mut out, &mut err)),
        Command::Doctor(args) => block_on(commands::doctor::run(args)),
    }
}

/// Only commands that talk to a cluster pay for a runtime.
fn block_on(work: impl Future<Output = anyhow::Result<u8>>) -> anyhow::Result<u8> {
    tokio::runtime::Runtime::new()?.block_on(work)
}

/// Prints an error with its causes; bad usage has an exit code of its own.
fn complain(error: &anyhow::Error) -> ExitCode {
    let text = format!("error: {}\n", errors::causes(error).join("\n  because: "));
    // With standard error closed there is nobody left to tell.
    let told = std::io::stderr().write_all(text.as_bytes());
    let usage = error.is::<exit::Usage>();
    ExitCode::from(if usage && told.is_ok() { exit::USAGE } else { exit::ERRORED })
}
