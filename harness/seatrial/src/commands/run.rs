//! `seatrial run`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use engine::command_line::CommandLine;
use engine::exit;
use engine::run::{self, RunOptions};

use crate::options::{ProviderArgs, SubjectArgs};

/// Arguments of `seatrial run`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Version that runs, such as 1.5, 1.5.x or v1.5.13. Default patch: the latest.
    from: String,
    /// Version to upgrade to.
    to: String,
    /// Roll back afterwards with `rollout undo`, and measure that as well.
    #[arg(long)]
    rollback: bool,
    #[command(flatten)]
    subject: SubjectArgs,
    /// Number of nodes; on an existing cluster, the maximum number of nodes with probes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    #[arg(conflicts_with = "kind_config")]
    nodes: u8,
    /// Manifest of your ConfigMap cilium-config; its keys are merged into the chart's.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["yes_upgrade", "subject_file"])]
    config: Option<PathBuf>,
    /// Budgets of the flows, instead of the standard ones; harness/probe/budgets.yaml documents the format.
    #[arg(long, value_name = "FILE")]
    budgets: Option<PathBuf>,
    /// Require traffic with this part of a flow id, such as held-http/cross-node; without it, the exit code is 4. Can be
    /// repeated.
    #[arg(long, value_name = "FLOW")]
    require: Vec<String>,
    /// Folder for the run folder.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Keep the cluster.
    #[arg(long, conflicts_with = "yes_upgrade")]
    keep: bool,
    /// Print the images of Cilium's charts for these versions, and exit.
    #[arg(long, requires = "charts")]
    print_images: bool,
    /// Also list the flows without losses.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    provider: ProviderArgs,
}

/// Runs the command to its report and returns the exit code.
pub(crate) async fn run(args: Args, line: CommandLine, out: &mut dyn Write) -> anyhow::Result<u8> {
    let options = RunOptions {
        from: args.from,
        to: args.to,
        rollback: args.rollback,
        subject: args.subject.options(),
        nodes: args.nodes,
        config: args.config,
        budgets: args.budgets,
        required: args.require,
        out: args.out,
        keep: args.keep,
        images_only: args.print_images,
        verbose: args.verbose,
        provider: args.provider.choice(),
    };
    if !args.print_images {
        return run::run(options, line).await;
    }
    for image in run::images(&options).await? {
        writeln!(out, "{image}")?;
    }
    Ok(exit::PASSED)
}
