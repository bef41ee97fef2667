//! The command line of `seatrial-standin`, by which the harness learns about the stand-in and gets its charts.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::chain;
use crate::chart::{MINORS, chart};
use crate::description::Description;

/// A small CNI agent that plays Cilium 1.0 to 1.6 for seatrial.
///
/// Inside a cluster it runs under other names, such as cilium-agent.
#[derive(Debug, Parser)]
#[command(name = "seatrial-standin", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what seatrial needs to know about this program, as JSON.
    Describe,
    /// Write the Helm chart of a minor version.
    Chart {
        /// Minor version, such as 1.5.
        #[arg(value_parser = MINORS)]
        minor: String,
        /// Folder for the chart; it is created if it does not exist.
        folder: PathBuf,
    },
}

/// Runs the command line; bad usage exits 2, and a failure 1.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Describe => describe(&mut io::stdout()),
        Command::Chart { minor, folder } => write_chart(&minor, &folder),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if standard error is closed.
            drop(writeln!(io::stderr(), "error: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn describe(out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Description::new())?;
    writeln!(out)
}

fn write_chart(minor: &str, folder: &Path) -> io::Result<()> {
    for (path, text) in chart(minor).unwrap_or_default() {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let error = |e| io::Error::other(format!("{} could not be written: {e}", path.display()));
        std::fs::write(&path, text).map_err(error)?;
    }
    Ok(())
}
