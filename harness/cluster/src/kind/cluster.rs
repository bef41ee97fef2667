//! A running kind cluster, its removal, and commands on its nodes.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::error::KindError;
use super::{cluster_name, docker};
use crate::clock;
use crate::error::ProviderError;
use crate::exec::{Executed, NodeShell};
use crate::ledger::{Entry, Held};
use crate::outside::Outside;
use crate::provider::Cluster;

/// Port of the API server in the control-plane node.
const API_PORT: u16 = 6443;

/// A kind cluster. Its containers outlive this process; the provider collects those of a dead cluster.
#[derive(Debug)]
pub(super) struct KindCluster {
    pub(super) entry: Entry,
    pub(super) held: Held,
    pub(super) nodes: Vec<String>,
    pub(super) control_plane: String,
    pub(super) outside: Option<Outside>,
}

impl KindCluster {
    /// The kubeconfig of the administrator.
    pub(super) fn kubeconfig_file(&self) -> PathBuf {
        self.held.folder().join("kubeconfig")
    }
}

impl Cluster for KindCluster {
    fn id(&self) -> &str {
        &self.entry.id
    }

    fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_file()
    }

    fn nodes(&self) -> Vec<String> {
        self.nodes.clone()
    }

    fn api_inside(&self) -> (String, u16) {
        (self.control_plane.clone(), API_PORT)
    }

    fn outside(&self) -> Option<Outside> {
        self.outside.clone()
    }

    fn shell(&self) -> Option<Arc<dyn NodeShell>> {
        Some(Arc::new(KindShell::new(&self.entry.id)))
    }

    fn release(mut self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>> {
        async move {
            self.entry.kept = true;
            Ok(self.held.write(&self.entry).map_err(KindError::from)?)
        }
        .boxed()
    }

    fn destroy(self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>> {
        async move { Ok(remove(&self.entry, self.held).await?) }.boxed()
    }
}

/// Removes everything of a cluster, its ledger entry last.
pub(super) async fn remove(entry: &Entry, held: Held) -> Result<(), KindError> {
    docker::remove(&cluster_name(&entry.id)).await?;
    Ok(held.remove()?)
}

/// Runs commands in the node containers of a cluster.
#[derive(Debug)]
pub(super) struct KindShell {
    cluster: String,
}

impl KindShell {
    /// The shell for the cluster with this id.
    pub(super) fn new(id: &str) -> Self {
        Self { cluster: cluster_name(id) }
    }

    async fn run(&self, node: &str, argv: &[&str]) -> Result<Executed, KindError> {
        let nodes = docker::containers(&self.cluster, None).await?;
        if !nodes.iter().any(|known| known == node) {
            return Err(KindError::NoNode { node: node.to_owned(), known: nodes.join(", ") });
        }
        let started_ns = clock::monotonic_ns();
        let output = docker::exec_long(node, argv).await?;
        Ok(Executed { started_ns, ended_ns: clock::monotonic_ns(), output })
    }
}

impl NodeShell for KindShell {
    fn exec<'a>(
        &'a self,
        node: &'a str,
        argv: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Executed, ProviderError>> {
        async move { Ok(self.run(node, argv).await?) }.boxed()
    }
}
