//! The command line: arguments in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{commands, errors, exit, run};

/// What an upgrade of Cilium does to your traffic, measured on an ephemeral cluster.
#[derive(Debug, Parser)]
#[command(name = "seatrial", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 passed, 1 findings, 2 bad usage or input, 3 errored (harness, cluster or \
                          environment), 4 nothing ran or a required part was skipped, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure an upgrade: install FROM on a fresh cluster, send traffic, upgrade to TO, report.
    Run(run::Args),
    /// Show a recorded run again, or write its reports.
    Report(commands::report::Args),
    /// Bring up, list and take down clusters by hand.
    #[command(subcommand)]
    Cluster(commands::cluster::Command),
    /// Remove what crashed runs have left behind; live clusters are never touched.
    Gc,
    /// Say what this machine lacks for a sandbox, and the command that brings it.
    Doctor(commands::doctor::Args),
}

/// Runs the command.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => return complain(&anyhow::Error::from(e)),
    };
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args).await,
            Command::Cluster(command) => commands::cluster::run(command).await,
            Command::Report(args) => commands::report::run(&args),
            Command::Doctor(args) => commands::doctor::run(args).await,
            Command::Gc => commands::gc::run().await,
        }
    });
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(e) => complain(&e),
    }
}

/// Prints an error with its causes; bad usage has an exit code of its own.
fn complain(error: &anyhow::Error) -> ExitCode {
    let text = format!("error: {}\n", errors::causes(error).join("\n  because: "));
    // With standard error closed there is nobody left to tell.
    let told = std::io::stderr().write_all(text.as_bytes());
    let usage = error.is::<exit::Usage>();
    ExitCode::from(if usage && told.is_ok() { exit::USAGE } else { exit::ERRORED })
}
