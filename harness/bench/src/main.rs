//! `seatrial-bench`: tools for the authors of seatrial. It is not installed.

mod causes;
mod clean;
mod image;
mod options;
mod place;
mod quiet_run;
mod rivals;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use engine::scenario::JudgeOptions;
use engine::steps::Arm;
use engine::{errors, exit};
use model::Minor;

use place::Place;

/// Tools for the authors of seatrial.
#[derive(Debug, Parser)]
#[command(name = "seatrial-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make images for the tests from pinned Go modules and the programs of this machine.
    #[command(subcommand)]
    Image(image::Command),
    /// Inject disturbances of known cause, and print which causes were attributed.
    Causes {
        /// Number of disturbances.
        #[arg(default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        count: u32,
        #[command(flatten)]
        place: Place,
    },
    /// Measure windows of 20 s without a change, and print the false alarms.
    Clean {
        /// Number of windows.
        #[arg(default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        count: u32,
        #[command(flatten)]
        place: Place,
    },
    /// Inject outages of known length, and print how exactly seatrial and other tools measure them.
    ///
    /// The tools are fping, sockperf, hey and oha, as far as they are installed.
    Rivals {
        /// Number of outages.
        #[arg(default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=1_000))]
        count: u32,
        /// Probes of seatrial a second on each flow.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=1_000))]
        rate: u32,
        #[command(flatten)]
        place: Place,
    },
    /// Compare the option facts of a minor with the lists of options of a release.
    Options {
        /// The minor, for example 1.16.
        #[arg(long)]
        minor: Minor,
        /// References of the agent and of the operators in Markdown (Documentation/cmdref), and the chart's template of the
        /// ConfigMap. Of an option of several programs, the first is used.
        #[arg(long = "from", required = true, num_args = 1.., value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Check recorded runs against the expectations of another arm.
    ///
    /// A run of the documented procedure must not meet the expectations of the other arm, or its finding would come from its
    /// file instead of the omission.
    Judge {
        /// Run folders, or folders of run folders.
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
        /// Judge runs of this arm only: followed or skipped.
        #[arg(long)]
        arm: Option<Arm>,
        /// The arm whose expectations are compared: followed or skipped.
        #[arg(long)]
        against: Arm,
    },
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            let text = format!("error: {}\n", errors::causes(&e).join("\n  because: "));
            let usage = e.is::<exit::Usage>();
            // With a closed standard error, no one reads the message.
            let written = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(if usage && written.is_ok() { exit::USAGE } else { exit::ERRORED })
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<u8> {
    let mut out = std::io::stdout();
    let work = async {
        match command {
            Command::Image(command) => image::run(command).await.map(|()| exit::PASSED),
            Command::Causes { count, place } => causes::run(place, count, &mut out).await,
            Command::Clean { count, place } => clean::run(place, count, &mut out).await,
            Command::Rivals { count, rate, place } => rivals::run(place, count, rate, &mut out).await,
            Command::Options { minor, files } => options::run(minor, &files, &mut out),
            Command::Judge { runs, arm, against } => {
                engine::scenario::judge(&JudgeOptions { runs, arm }, Some(against), &mut out)
            }
        }
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    ended
}
