//! Clusters of the `kind` tool: their nodes are Docker containers, created by kubeadm.
//!
//! kind only creates the cluster. Containers are found by the label that kind gives them, and removed with Docker. The name
//! of the cluster and of its network contains the id of the ledger entry, so that no other kind cluster is ever listed, used
//! or removed.

mod boot;
mod cluster;
mod docker;
mod doctor;
mod error;
mod mirrors;
mod network;
mod outside;
mod shape;
mod version;
mod weights;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use self::cluster::KindShell;
pub use self::error::KindError;
pub use self::shape::{Shape, UnknownShape};
use crate::components::{Component, Components};
use crate::error::ProviderError;
use crate::exec::NodeShell;
use crate::ledger::{Entry, Ledger};
use crate::mirror::Mirror;
use crate::options::{OptionError, ProviderOptions};
use crate::provider::{BootContext, Capabilities, Cluster, Progress, Provider};
use crate::registration::Registration;
use crate::request::{ClusterRequest, Cni};

/// The name of the provider.
const NAME: &str = "kind";
/// The options of the provider.
const OPTIONS: [&str; 4] = ["--dual-stack", "--kind-config", "--docker-network", "--registry-mirror"];
/// How long a kind that is still running may take to end.
const ENDED: Duration = Duration::from_secs(60);
/// The message when a command cannot get the lock.
const LOCK: &str = "the lock of the ledger entry could not be passed to a command";

/// The entry of the registry.
pub(crate) const REGISTRATION: Registration = Registration {
    name: NAME,
    summary: "Docker containers, created by kind",
    from_options: |options| Ok(Arc::new(KindProvider::from_options(options)?)),
    from_entry: |_| Ok(Arc::new(KindProvider::default())),
    examine: |components| doctor::examine(components).boxed(),
};

/// Makes clusters with kind.
#[derive(Clone, Debug, Default)]
pub struct KindProvider {
    /// The configuration; without one, a standard configuration that suits the request.
    pub shape: Option<Shape>,
    /// Whether clusters have IPv6 addresses in addition to IPv4, whatever the request says.
    pub dual_stack: bool,
    /// The node image; without one, that of the request, else the newest that `ci/kind-node-image` made, else the default
    /// of kind.
    pub image: Option<String>,
    /// An existing Docker network for the nodes to join; without one, they get their own.
    pub network: Option<String>,
    /// Registries from which nodes pull before others.
    pub mirrors: Vec<Mirror>,
}

impl KindProvider {
    /// Checks the options and keeps those of kind.
    ///
    /// # Errors
    /// When an option is not kind's, or the configuration cannot be read.
    pub fn from_options(options: &ProviderOptions) -> Result<Self, OptionError> {
        if options.api_port != 0 {
            return Err(OptionError(
                "--api-port is for the sandbox; for kind, set networking.apiServerPort in a file and name it with \
                 --kind-config"
                    .to_owned(),
            ));
        }
        options.only(NAME, &OPTIONS)?;
        let shape = options.kind_config.as_deref().map(Shape::named).transpose();
        Ok(Self {
            shape: shape.map_err(|e| OptionError(e.to_string()))?,
            dual_stack: options.dual_stack,
            image: options.kind_image.clone(),
            network: options.docker_network.clone(),
            mirrors: options.registry_mirrors.clone(),
        })
    }

    /// The configuration for a request.
    fn shape(&self, request: &ClusterRequest) -> Result<Shape, UnknownShape> {
        if let Some(shape) = &self.shape {
            return Ok(shape.clone());
        }
        let standard = match request.cni {
            _ if self.dual_stack || request.dual_stack => "dual-stack",
            Cni::Bridge => "kube-proxy",
            Cni::None => "two-node",
        };
        Ok(Shape::named(standard)?.with_nodes(request.nodes))
    }
}

impl Provider for KindProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            chooses_kubernetes: self.image.is_none(),
            pulls_images: true,
            lives_unlocked: true,
            ..Capabilities::MADE
        }
    }

    fn prepare<'a>(
        &'a self,
        components: &'a Components,
        progress: &'a Progress<'a>,
    ) -> BoxFuture<'a, Result<Duration, ProviderError>> {
        async move {
            components.build_missing(&[Component::Kind], progress).await.map_err(ProviderError::new)
        }
        .boxed()
    }

    fn boot<'a>(
        &'a self,
        request: ClusterRequest,
        context: BootContext<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Cluster>, ProviderError>> {
        async move { Ok(Box::new(boot::boot(self, request, context).await?) as Box<dyn Cluster>) }.boxed()
    }

    fn collect<'a>(&'a self, ledger: &'a Ledger, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { Ok(collect(ledger, id).await?) }.boxed()
    }

    fn down<'a>(&'a self, ledger: &'a Ledger, entry: &'a Entry) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move {
            docker::remove(&cluster_name(&entry.id)).await?;
            ledger.abandon(entry).map_err(KindError::from)?;
            Ok(collect(ledger, &entry.id).await?)
        }
        .boxed()
    }

    fn shell(&self, _ledger: &Ledger, entry: &Entry) -> Option<Arc<dyn NodeShell>> {
        Some(Arc::new(KindShell::new(&entry.id)))
    }
}

/// The name of the kind cluster, and of its own network.
fn cluster_name(id: &str) -> String {
    format!("seatrial-{id}")
}

/// Removes what a dead cluster has left, once no kind works on it any more.
async fn collect(ledger: &Ledger, id: &str) -> Result<(), KindError> {
    let Some(held) = ledger.wait_unlocked(id, ENDED).await? else { return Ok(()) };
    let entry = held.read()?;
    if entry.kept {
        return Err(KindError::Kept { id: entry.id });
    }
    cluster::remove(&entry, held).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_can_be_chosen_without_a_named_image() {
        let options = ProviderOptions { kind_image: Some("i".to_owned()), ..ProviderOptions::default() };
        let named = KindProvider::from_options(&options).unwrap();
        assert!(!named.capabilities().chooses_kubernetes);
        assert!(KindProvider::default().capabilities().chooses_kubernetes);
    }

    #[tokio::test]
    async fn kept_cluster_is_not_collected() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(state.path());
        let held = ledger.enter(&Entry::new(NAME, "one", 2)).unwrap();
        held.write(&Entry { kept: true, ..held.read().unwrap() }).unwrap();
        drop(held);
        let error = collect(&ledger, "one").await.unwrap_err();
        assert_eq!(error.to_string(), "cluster one is kept; take it down with `seatrial cluster down one`");
    }
}
