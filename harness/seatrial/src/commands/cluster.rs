//! `seatrial cluster`: clusters without a run.

use std::io::Write as _;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use cluster::registry::{Recorded, Status, inventory};
use cluster::{Cni, Ledger, Origin};

use engine::exit::{self, Usage};
use engine::procedure::{ClusterUp, cluster_up};
use engine::{logs, paths};

use crate::options::ProviderArgs;

/// What to do with clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a cluster and leave it running.
    Up(Box<Up>),
    /// Delete a cluster.
    Down {
        /// Cluster id, as `list` shows it. Default: the only cluster.
        id: Option<String>,
    },
    /// Run a command in the namespaces of a node, as root.
    Exec {
        /// Cluster id, as `list` shows it.
        id: String,
        /// Node, such as node1.
        node: String,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// List the clusters of the ledger.
    List,
    /// Print the path of a cluster's kubeconfig.
    Kubeconfig {
        /// Cluster id. Default: the only cluster.
        id: Option<String>,
    },
}

/// Options of `up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Number of nodes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    #[arg(conflicts_with = "kind_config")]
    nodes: u8,
    /// Network of the pods; without one, nodes do not become Ready.
    #[arg(long, value_enum, default_value_t = CniChoice::Bridge)]
    cni: CniChoice,
    #[command(flatten)]
    provider: ProviderArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CniChoice {
    Bridge,
    None,
}

/// Runs the command.
pub(crate) async fn run(command: Command) -> anyhow::Result<u8> {
    let ledger = Ledger::new(&paths::state());
    match command {
        Command::Up(options) => up(*options).await,
        Command::Down { id } => {
            let entry = choose(&ledger, id)?;
            cluster::down(&ledger, &entry).await?;
            logs::remove(&entry.id)?;
            say(&format!("{} is down", entry.id))
        }
        Command::Exec { id, node, command } => {
            let entry = choose(&ledger, Some(id))?;
            let argv: Vec<&str> = command.iter().map(String::as_str).collect();
            let shell = cluster::registry::from_entry(&entry)?.shell(&ledger, &entry);
            let shell = shell.context("the provider of this cluster cannot run commands on nodes")?;
            let done = shell.exec(&node, &argv).await?;
            write!(std::io::stdout(), "{}", done.output)?;
            Ok(exit::PASSED)
        }
        Command::List => list(&ledger),
        Command::Kubeconfig { id } => {
            let entry = choose(&ledger, id)?;
            say(&ledger.folder(&entry.id).join("kubeconfig").display().to_string())
        }
    }
}

async fn up(options: Up) -> anyhow::Result<u8> {
    let choice = options.provider.choice();
    choice.check()?;
    let (provider, components) = (choice.provider()?, choice.components());
    if provider.capabilities().origin == Origin::Existing {
        return Err(Usage("an existing cluster cannot be booted; choose another provider".to_owned()).into());
    }
    let cni = match options.cni {
        CniChoice::Bridge => Cni::Bridge,
        CniChoice::None => Cni::None,
    };
    let id = engine::id::new_id();
    let logs = logs::folder(&id);
    let request =
        ClusterUp { id: id.clone(), provider, components, nodes: options.nodes, cni, logs: logs.clone() };
    let ended = cluster_up(request).await;
    if !matches!(ended, Ok(engine::procedure::Up::Interrupted)) && logs.exists() {
        // The components of a kept cluster go on writing there; the nodes of kind have their own.
        let until = if ended.is_err() { " until `seatrial gc`" } else { "" };
        writeln!(std::io::stderr(), "logs are in {}{until}", logs.display())?;
    }
    match ended? {
        engine::procedure::Up::Kept { kubeconfig } => {
            say(&format!("{id}\nexport KUBECONFIG={}", kubeconfig.display()))
        }
        engine::procedure::Up::Interrupted => {
            logs::remove(&id)?;
            Ok(exit::INTERRUPTED)
        }
    }
}

fn choose(ledger: &Ledger, id: Option<String>) -> anyhow::Result<cluster::ledger::Entry> {
    let mut entries = ours(ledger)?;
    let known = || entries.iter().map(|found| found.entry.id.as_str()).collect::<Vec<_>>().join(", ");
    let position = match &id {
        Some(id) => entries.iter().position(|found| found.entry.id == *id),
        None if entries.len() == 1 => Some(0),
        None => None,
    };
    match position {
        Some(position) => Ok(entries.swap_remove(position).entry),
        None if entries.is_empty() => {
            Err(Usage("there is no cluster; `seatrial cluster up` makes one".into()).into())
        }
        None => {
            let asked =
                id.map_or_else(|| "which cluster?".to_owned(), |id| format!("there is no cluster {id};"));
            Err(Usage(format!("{asked} the ledger has {}", known())).into())
        }
    }
}

/// The clusters that were made here, and those of unknown providers; existing ones are neither listed nor taken down.
fn ours(ledger: &Ledger) -> anyhow::Result<Vec<Recorded>> {
    let inventory = inventory(ledger)?;
    for error in inventory.unreadable {
        let line = format!("left out: {}\n", engine::errors::line(&error.into()));
        // A warning; a closed standard error must not hide the other clusters.
        if std::io::stderr().write_all(line.as_bytes()).is_err() {
            tracing::debug!(line, "standard error is closed");
        }
    }
    let made = |cluster: &Recorded| cluster.origin != Some(Origin::Existing);
    Ok(inventory.clusters.into_iter().filter(made).collect())
}

fn list(ledger: &Ledger) -> anyhow::Result<u8> {
    let entries = ours(ledger)?;
    if entries.is_empty() {
        return say("no clusters");
    }
    for Recorded { entry, status, .. } in entries {
        let state = match status {
            Status::Kept => "kept",
            Status::Running => "running",
            Status::Dead => "dead (seatrial gc removes it)",
            Status::Unknown => "of an unknown provider",
        };
        say(&format!("{}  {} nodes  https://{}  {state}", entry.id, entry.nodes, entry.api))?;
    }
    Ok(exit::PASSED)
}

fn say(text: &str) -> anyhow::Result<u8> {
    writeln!(std::io::stdout(), "{text}")?;
    Ok(exit::PASSED)
}
