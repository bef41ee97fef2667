//! `seatrial-bench`: tools for the authors of seatrial. It is not installed.

mod image;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tools for the authors of seatrial.
#[derive(Debug, Parser)]
#[command(name = "seatrial-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make images for the tests from pinned Go modules and the programs of this machine.
    #[command(subcommand)]
    Image(image::Command),
}

/// Exit code of a failure; bad usage exits 2.
const ERRORED: u8 = 3;

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if standard error is closed.
            drop(writeln!(io::stderr(), "error: {error:#}"));
            ExitCode::from(ERRORED)
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        Command::Image(command) => runtime.block_on(image::run(command)),
    }
}
