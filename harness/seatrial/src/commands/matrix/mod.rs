//! `seatrial matrix`: everything that there is to run, in shards of about the same length.

mod render;
mod shard;
mod trials;

use std::io::Write;
use std::num::NonZeroUsize;

use clap::{Args as ClapArgs, ValueEnum};
use guide::Minor;

use engine::exit;
use engine::subjects::{Playable, SubjectName};
use render::Matrix;
use shard::{Shard, balance};

/// Expected length of a shard when nobody says how many there shall be, s.
const SHARD_SECONDS: u64 = 600;

/// How much longer a run takes on kind, with a node image and images of the subject to be pulled, s.
const KIND_SECONDS: u64 = 60;

/// Arguments of `matrix`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// One shard only, such as 1/4 for the first of four.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Number of shards; for GitHub as many as keep each to about ten minutes, else one.
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    shards: Option<NonZeroUsize>,
    /// What is upgraded.
    #[arg(long, value_enum, default_value_t = SubjectName::Standin)]
    subject: SubjectName,
    /// Where Cilium's charts are, as the commands shall say it.
    #[arg(long, value_name = "DIR|URL", required_if_eq("subject", "cilium"))]
    charts: Option<String>,
    /// Where the clusters come from.
    #[arg(long, value_enum, default_value_t = Clusters::Sandbox)]
    provider: Clusters,
    /// Leave out what has a version before this minor, such as 1.14.
    #[arg(long, value_name = "MINOR")]
    from: Option<Minor>,
    /// How to print it.
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
    /// For people.
    Table,
    /// Schema seatrial/matrix/v1.
    Json,
    /// A strategy matrix for GitHub Actions: one job a shard.
    Github,
    /// One command a line, to be run one after the other.
    Commands,
}

/// Runs the command.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<u8> {
    print(args, &args.subject.playable()?, out)
}

/// Prints what there is to run of the versions that can be run.
fn print(args: &Args, playable: &Playable, out: &mut dyn Write) -> anyhow::Result<u8> {
    let (mut trials, left_out) = trials::all(args.subject, playable, args.from)?;
    for trial in &mut trials {
        trial.command.extend(args.charts.iter().flat_map(|charts| ["--charts".to_owned(), charts.clone()]));
        if args.provider == Clusters::Kind {
            trial.command.extend(["--provider", "kind"].map(str::to_owned));
            trial.seconds += KIND_SECONDS;
        }
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
    let matrix = Matrix { subject: args.subject.name(), of, only: args.shard, trials, left_out };
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
