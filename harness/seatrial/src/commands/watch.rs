//! `seatrial watch`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use engine::command_line::CommandLine;
use engine::exit::{self, Usage};
use engine::place::ExistingCluster;
use engine::place::existing::{self, Purpose};
use engine::procedure::{WatchRequest, watch};
use probe::budget::Budgets;

use crate::options::ExistingArgs;

/// Arguments of `seatrial watch`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    existing: ExistingArgs,
    /// Stop after so many seconds. Default: at the first Ctrl-C, and after 24 hours at the latest.
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    seconds: Option<u64>,
    /// Number of nodes that get probes: the first ones by name.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    nodes: u8,
    /// Send traffic to the IPv6 addresses of pods as well.
    #[arg(long)]
    ipv6: bool,
    /// Budgets for what flows may lose, in place of the standard ones.
    #[arg(long, value_name = "FILE")]
    budgets: Option<PathBuf>,
    /// Folder for the run folder.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// List flows that lost nothing as well.
    #[arg(long, short)]
    verbose: bool,
    /// Print the role that this command needs, and do nothing.
    #[arg(long)]
    rbac: bool,
}

/// Runs the command to its report and returns the exit code.
pub(crate) async fn run(args: Args, line: &CommandLine) -> anyhow::Result<u8> {
    if args.rbac {
        write!(std::io::stdout(), "{}", existing::manifest()?)?;
        return Ok(exit::PASSED);
    }
    let budgets = args.budgets.as_deref().map(budgets).transpose()?;
    let out = std::path::absolute(&args.out).context("the current folder cannot be read")?;
    let id = engine::id::new_id();
    let cluster = ExistingCluster::find(&args.existing.options(), &id, args.nodes, Purpose::Watch).await?;
    let request = WatchRequest {
        id,
        cluster,
        length: args.seconds.map(Duration::from_secs),
        ipv6: args.ipv6,
        budgets,
        out,
        verbose: args.verbose,
        again: line.to_string(),
    };
    Ok(watch(request).await?.exit_code)
}

fn budgets(path: &Path) -> Result<Budgets, Usage> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"));
    text.and_then(|text| Budgets::parse(&text).map_err(|e| e.to_string()))
        .map_err(|e| Usage(format!("the budgets {}: {e}", path.display())))
}
