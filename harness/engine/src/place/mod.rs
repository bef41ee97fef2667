//! Places: the clusters that runs take place on, created for a run or existing before it.
//!
//! Everything that differs between the two is answered here, so that nothing else distinguishes them.

mod boot;
pub mod existing;
mod pod_logs;
mod turn;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cluster::turn::Turns;
use cluster::{Components, Ledger, Origin, Provider};
use probe::deploy::{ServiceName, Target};
use probe::flow::Token;
use probe::traffic::{Settings, Traffic};

pub(crate) use boot::{Booted, Needs};
pub use existing::ExistingCluster;
pub(crate) use pod_logs::save as save_pod_logs;
pub(crate) use turn::RunTurn;

use crate::paths;

/// The namespace of the probes in a created cluster.
const NAMESPACE: &str = "seatrial-probes";

/// Whether a created cluster outlives its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// It is removed.
    #[default]
    Never,
    /// It is kept if it came up, whatever the result of the run is.
    Always,
    /// It is kept if the run succeeded.
    OnSuccess,
}

/// The cluster of one run: created for it, or existing before.
#[derive(Debug)]
pub struct Place {
    id: String,
    provider: Arc<dyn Provider>,
    components: Components,
    nodes: u8,
    keep: Keep,
    /// The folder of the ledger and of the turns.
    state: PathBuf,
    /// The folder for the logs of the cluster's components; the run folder by default.
    logs: Option<PathBuf>,
    existing: Option<ExistingCluster>,
}

impl Place {
    /// A cluster with this number of nodes, which the provider creates for the run `id` and removes after it.
    #[must_use]
    pub fn created(id: &str, provider: Arc<dyn Provider>, components: Components, nodes: u8) -> Self {
        Self {
            id: id.to_owned(),
            provider,
            components,
            nodes,
            keep: Keep::Never,
            state: paths::state(),
            logs: None,
            existing: None,
        }
    }

    /// An existing cluster, for the run `id`.
    #[must_use]
    pub fn existing(id: &str, cluster: ExistingCluster, components: Components) -> Self {
        let nodes = u8::try_from(cluster.found.nodes.len()).unwrap_or(u8::MAX);
        let provider = cluster.provider();
        Self { existing: Some(cluster), ..Self::created(id, provider, components, nodes) }
    }

    /// Sets whether a created cluster outlives its run; an existing cluster always does.
    #[must_use]
    pub fn keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// Writes the logs of the cluster's components into this folder instead of the run folder.
    #[must_use]
    pub fn logs(self, folder: PathBuf) -> Self {
        Self { logs: Some(folder), ..self }
    }

    /// Uses another folder for the ledger and the turns.
    #[cfg(test)]
    pub(crate) fn state(self, state: PathBuf) -> Self {
        Self { state, ..self }
    }

    /// The id of the run, of its folder and of its entry in the ledger.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    /// The programs that created clusters consist of.
    #[must_use]
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// The number of nodes; in an existing cluster, of those that get probes.
    #[must_use]
    pub fn nodes(&self) -> u8 {
        self.nodes
    }

    /// The existing cluster; `None` where one is created.
    #[must_use]
    pub fn existing_cluster(&self) -> Option<&ExistingCluster> {
        self.existing.as_ref()
    }

    /// Whether the cluster is created for the run, so that everything in it may be changed.
    pub(crate) fn is_created(&self) -> bool {
        self.provider.capabilities().origin == Origin::Made
    }

    /// Whether the cluster is kept after a run that has succeeded or not.
    pub(crate) fn is_kept(&self, succeeded: bool) -> bool {
        match self.keep {
            Keep::Never => false,
            Keep::Always => self.is_created(),
            Keep::OnSuccess => self.is_created() && succeeded,
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::new(&self.state)
    }

    /// The turns of this machine; `None` for a cluster that may be on other machines.
    fn turns(&self) -> Option<Turns> {
        self.is_created().then(|| Turns::new(&self.state))
    }

    /// Whether the logs of the subject's pods are saved. Those of an existing cluster are not ours to copy.
    pub(crate) fn saves_pod_logs(&self) -> bool {
        self.is_created()
    }

    fn log_folder(&self, run_folder: &Path) -> PathBuf {
        self.logs.clone().unwrap_or_else(|| run_folder.to_owned())
    }

    /// The namespace, image and DNS Service of the probes; `image` is the reference of the one in a created cluster.
    ///
    /// `planned` is how long the run takes at most; probers in an existing cluster end then, even if the run was killed.
    pub(crate) fn probes(&self, image: &str, planned: Duration) -> Target {
        match &self.existing {
            Some(existing) => existing.target(&self.id, planned),
            None => Target {
                namespace: NAMESPACE.to_owned(),
                run_id: self.id.clone(),
                image: image.to_owned(),
                dns: ServiceName {
                    namespace: cluster::dns::NAMESPACE.to_owned(),
                    name: cluster::dns::NAME.to_owned(),
                },
                token: Token::random(),
                lifetime: None,
            },
        }
    }

    /// The standard traffic between these nodes, as far as the cluster can have it.
    pub(crate) fn traffic(&self, nodes: &[String], outside: bool, settings: &Settings) -> Traffic {
        match &self.existing {
            Some(existing) => existing.traffic(settings),
            None => Traffic::standard(nodes, outside, settings),
        }
    }

    /// Why some of the standard traffic is not possible; `None` where all of it is.
    pub(crate) fn missing_traffic(&self) -> Option<&'static str> {
        self.existing.as_ref().and_then(ExistingCluster::missing_traffic)
    }

    /// The image that the agents run already; `None` where no agents are installed.
    pub(crate) fn running_image(&self) -> Option<&str> {
        self.existing.as_ref()?.agents.as_deref()
    }

    /// A sentence about a cluster that is up.
    fn summary(&self, nodes: usize, boot_ms: u64) -> String {
        match &self.existing {
            Some(existing) => format!(
                "{nodes} nodes of context {} at {}, UID of kube-system {}",
                existing.access.context, existing.server, existing.found.uid
            ),
            None => format!("{nodes} nodes registered in {:.2} s", boot_ms as f64 / 1_000.0),
        }
    }
}
