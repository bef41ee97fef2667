//! `seatrial matrix`: all trials, in shards of about equal length.

mod render;
mod shard;
mod trials;

use std::io::Write;
use std::num::NonZeroUsize;

use clap::builder::PossibleValuesParser;
use clap::{Args as ClapArgs, ValueEnum};
use model::Minor;
use subject::{Supported, registry};

use engine::command_line::CommandLine;
use engine::exit::{self, Usage};
use render::Matrix;
use shard::{Shard, balance};

/// Expected duration of a shard where the number of shards is not given, s.
const SHARD_SECONDS: u64 = 600;

/// Additional duration of a run on kind, for pulling the images of nodes and subject, s.
const KIND_SECONDS: u64 = 60;

/// Arguments of `matrix`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// List one shard only, such as 1/4 for the first of four.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Number of shards. Default: 1; with --output github, enough for about ten minutes each.
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    shards: Option<NonZeroUsize>,
    /// What is upgraded.
    #[arg(long, value_parser = PossibleValuesParser::new(registry::names()))]
    subject: String,
    /// Cilium's charts, as they are passed to the commands.
    #[arg(long, value_name = "DIR|URL", required_if_eq("subject", "cilium"))]
    charts: Option<String>,
    /// Provider of the clusters.
    #[arg(long, value_enum, default_value_t = Clusters::Sandbox)]
    provider: Clusters,
    /// Omit trials with a version before this minor, such as 1.14.
    #[arg(long, value_name = "MINOR")]
    from: Option<Minor>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What makes the clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clusters {
    /// Namespaces of the machine.
    Sandbox,
    /// Docker containers, made by kind.
    Kind,
}

/// How to print the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Text for people.
    Table,
    /// Schema seatrial/matrix/v1.
    Json,
    /// Strategy matrix for GitHub Actions, one job for each shard.
    Github,
    /// One command in each line, to run in order.
    Commands,
}

/// Runs the command.
pub(crate) fn run(args: &Args, line: &CommandLine, out: &mut dyn Write) -> anyhow::Result<u8> {
    let subject = registry::find(&args.subject).map_err(Usage::from)?;
    print(args, line, &(subject.supported)().map_err(Usage::from)?, out)
}

/// Prints the trials of the versions that can be run.
fn print(args: &Args, line: &CommandLine, supported: &Supported, out: &mut dyn Write) -> anyhow::Result<u8> {
    let options = CommandLine::default().with_option("subject", args.subject.clone());
    let options = options.with_options_of(line, &["charts", "provider"]);
    let (mut trials, left_out) = trials::all(supported, args.from, &options)?;
    for trial in trials.iter_mut().filter(|_| args.provider == Clusters::Kind) {
        trial.seconds += KIND_SECONDS;
    }
    let weights: Vec<u64> = trials.iter().map(|trial| trial.seconds).collect();
    let of = args.shard.map(|shard| shard.of).or(args.shards).unwrap_or_else(|| match args.output {
        Output::Github => shards_for(weights.iter().sum()),
        _ => NonZeroUsize::MIN,
    });
    for (trial, shard) in trials.iter_mut().zip(balance(&weights, of)) {
        trial.shard = shard;
    }
    trials.retain(|trial| args.shard.is_none_or(|only| only.number == trial.shard));
    let subject = registry::find(&args.subject).map_err(Usage::from)?.name;
    let matrix = Matrix { subject, of, only: args.shard, trials, left_out };
    let text = match args.output {
        Output::Table => matrix.table(),
        Output::Json => matrix.json()?,
        Output::Github => matrix.github()?,
        Output::Commands => matrix.commands(),
    };
    write!(out, "{text}")?;
    Ok(exit::PASSED)
}

fn shards_for(seconds: u64) -> NonZeroUsize {
    let shards = usize::try_from(seconds.div_ceil(SHARD_SECONDS)).unwrap_or(1);
    NonZeroUsize::new(shards).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod workflow_tests;
