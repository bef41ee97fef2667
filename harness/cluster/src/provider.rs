//! The interface of providers: how to get a cluster, use it, and remove it.
//!
//! A new provider is one module that implements [`Provider`] and [`Cluster`], and one line in `registry.rs`.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::components::Components;
use crate::doctor::Check;
use crate::error::ProviderError;
use crate::exec::NodeShell;
use crate::ledger::{Entry, Ledger};
use crate::outside::Outside;
use crate::request::ClusterRequest;

/// Receives one line about the progress of a boot.
pub type Progress<'a> = dyn Fn(String) + Sync + 'a;

/// Whether a provider makes its clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Clusters are made for a run, and removed completely.
    Made,
    /// The cluster exists already and belongs to somebody else.
    Existing,
}

/// What a provider can do, with the options that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether the provider makes its clusters.
    pub origin: Origin,
    /// Whether a cluster can be limited to the processor time that no one else uses.
    pub cpu_weight: bool,
    /// Whether the node image, and with it the version of Kubernetes, can be chosen for the subject.
    pub chooses_kubernetes: bool,
    /// Whether nodes can pull images.
    pub pulls_images: bool,
    /// Whether a kept cluster runs without any process that holds the lock of its ledger entry.
    pub lives_unlocked: bool,
}

impl Capabilities {
    /// The capabilities of a provider that makes clusters, and nothing more.
    pub const MADE: Self = Self {
        origin: Origin::Made,
        cpu_weight: false,
        chooses_kubernetes: false,
        pulls_images: false,
        lives_unlocked: false,
    };
}

/// What a provider uses to boot a cluster.
#[derive(Clone, Copy)]
pub struct BootContext<'a> {
    /// Where programs come from.
    pub components: &'a Components,
    /// Where the cluster is entered before anything else of it exists.
    pub ledger: &'a Ledger,
    /// Receives the progress.
    pub progress: &'a Progress<'a>,
}

/// A way to get a cluster, with its options.
pub trait Provider: Debug + Send + Sync {
    /// The name in options, reports and the ledger.
    fn name(&self) -> &'static str;

    /// What the provider can do.
    fn capabilities(&self) -> Capabilities;

    /// What this machine lacks for the provider, as far as that can be checked at once.
    fn missing(&self) -> Vec<Check> {
        Vec::new()
    }

    /// Builds the components that are missing, so that the boot does not have to; returns the time spent on it.
    ///
    /// Fails when a component is missing and cannot be built.
    fn prepare<'a>(
        &'a self,
        _components: &'a Components,
        _progress: &'a Progress<'a>,
    ) -> BoxFuture<'a, Result<Duration, ProviderError>> {
        async { Ok(Duration::ZERO) }.boxed()
    }

    /// Boots a cluster; returns when its API server responds and its nodes are starting.
    ///
    /// Fails when the machine lacks something, or the cluster does not come up. After a failure, or when the future is
    /// dropped, [`collect`](Self::collect) removes what is left.
    fn boot<'a>(
        &'a self,
        request: ClusterRequest,
        context: BootContext<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Cluster>, ProviderError>>;

    /// Removes what is left of a cluster that has ended or is ending, and waits until it has ended. An id that the ledger
    /// does not have is no error.
    ///
    /// Fails when the cluster still runs after the deadline, or cannot be removed.
    fn collect<'a>(&'a self, ledger: &'a Ledger, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Ends a kept cluster and removes it.
    ///
    /// Fails when it does not end, or cannot be removed.
    fn down<'a>(&'a self, ledger: &'a Ledger, entry: &'a Entry) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// A shell for the nodes of a cluster of the ledger; `None` for a provider without one.
    fn shell(&self, _ledger: &Ledger, _entry: &Entry) -> Option<Arc<dyn NodeShell>> {
        None
    }
}

/// A running cluster.
pub trait Cluster: Debug + Send + Sync {
    /// Cluster id.
    fn id(&self) -> &str;

    /// A client for the API server. Fails when the kubeconfig cannot be used.
    fn client(&self) -> BoxFuture<'_, Result<kube::Client, ProviderError>> {
        let kubeconfig = self.kubeconfig();
        async move { crate::client::client(&kubeconfig).await.map_err(ProviderError::new) }.boxed()
    }

    /// The kubeconfig of the administrator, readable by this user only; for an existing cluster, the user's own.
    fn kubeconfig(&self) -> PathBuf;

    /// Names of the nodes; for an existing cluster, of the nodes that get probes.
    fn nodes(&self) -> Vec<String>;

    /// Address and port at which pods and agents reach the API server without any Service translation.
    fn api_inside(&self) -> (String, u16);

    /// A host outside of the cluster on which this program can play roles; `None` where there is none.
    fn outside(&self) -> Option<Outside> {
        None
    }

    /// A shell for the nodes; `None` where there is none.
    fn shell(&self) -> Option<Arc<dyn NodeShell>> {
        None
    }

    /// Returns a function that reports the memory that the cluster uses now, bytes; `None` where that is unknown.
    fn memory_meter(&self) -> Box<dyn Fn() -> Option<u64> + Send> {
        Box::new(|| None)
    }

    /// Lets the cluster outlive this process; [`Provider::down`] then removes it. What a run made in an existing cluster is
    /// removed all the same.
    ///
    /// Fails when the cluster has ended, or the ledger cannot be written.
    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>>;

    /// Removes the cluster: afterwards nothing of it runs or is left on disk. In an existing cluster, that is what the run
    /// made in it.
    ///
    /// Fails when something is still there after the deadline; `seatrial gc` tries again.
    fn destroy(self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>>;
}
