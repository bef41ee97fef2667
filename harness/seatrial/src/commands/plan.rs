//! `seatrial plan`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use guide::policy::{self, Feature};
use guide::{BudgetTexts, ConfigMap, Facts, Kernel, Options, PlanError};
use model::{Layer, Minor, VersionSpec};
use probe::budget::Budgets;

use crate::commands::lint::read_paths;
use engine::exit::{self, Usage};

/// Arguments of `seatrial plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Version that runs now: 1.5, 1.5.x, v1.5.13 or 1.7.0-rc10.
    from: VersionSpec,
    /// Version to upgrade to.
    to: VersionSpec,
    /// Allow a downgrade.
    #[arg(long)]
    downgrade: bool,
    /// Refuse a path through intermediate versions.
    #[arg(long)]
    direct: bool,
    /// ConfigMap of the cluster; hazards that it excludes are omitted.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Policies of the cluster; hazards that they exclude are omitted.
    #[arg(long, value_name = "PATH")]
    policies: Vec<PathBuf>,
    /// Oldest kernel of the nodes, as `uname -r` prints it.
    #[arg(long, value_name = "VERSION")]
    kernel: Option<Kernel>,
    /// Kubernetes minor of the cluster, for example 1.15.
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<Minor>,
    /// Newest minor of Cilium that the cluster has run before.
    #[arg(long, value_name = "VERSION")]
    previously: Option<Minor>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    Table,
    Json,
    Markdown,
}

/// Prints the path from one version to another.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<u8> {
    let resolve = |spec| guide::resolve(spec).map_err(|e| Usage(e.to_string()));
    let (from, to) = (resolve(&args.from)?, resolve(&args.to)?);
    let config = args.config.as_ref().map(read_config).transpose()?;
    let policies = features(&args.policies)?;
    let standard = Budgets::standard();
    let budgets = BudgetTexts::collect(|layer, impact| match layer {
        Layer::L3 | Layer::L7 => standard.rule(layer, impact),
        _ => None,
    });
    let facts = Facts {
        config: config.as_ref(),
        policies: policies.as_ref(),
        kernel: args.kernel,
        kubernetes: args.kubernetes,
        previously: args.previously,
        available: None,
        budgets: Some(&budgets),
    };
    let options = Options { downgrade: args.downgrade, direct: args.direct };
    let plan = guide::plan_for(&from, &to, options, &facts).map_err(|e| match e {
        PlanError::NotAnUpgrade { .. } => Usage(format!("{e} with --downgrade")),
        e => Usage(e.to_string()),
    })?;
    match args.output {
        Output::Table => write!(out, "{}", guide::plan::render::text(&plan))?,
        Output::Markdown => write!(out, "{}", guide::plan::render::markdown(&plan))?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&plan)?)?,
    }
    Ok(exit::PASSED)
}

fn read_config(path: &PathBuf) -> Result<ConfigMap, Usage> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| Usage(format!("cannot read {name}: {e}")))?;
    ConfigMap::read(&text).map_err(|e| Usage(format!("{name}:{e}")))
}

/// Collects the features that the policies use; `None` without paths.
fn features(paths: &[PathBuf]) -> Result<Option<BTreeSet<Feature>>, Usage> {
    if paths.is_empty() {
        return Ok(None);
    }
    let mut features = BTreeSet::new();
    for (file, text) in read_paths(paths)? {
        features.extend(policy::features_in(&text).map_err(|e| Usage(format!("{file}:{e}")))?);
    }
    Ok(Some(features))
}
