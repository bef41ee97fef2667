//! What every way to get a cluster has in common: it is made, it has a kubeconfig and nodes, and it is taken down.

use std::path::PathBuf;

use crate::client::{ClientError, client};
use crate::components::Components;
use crate::existing::{self, Existing, ExistingError, ExistingRequest};
use crate::kind::{self, Kind, KindError, KindRequest};
use crate::ledger::{Entry, Ledger};
use crate::outside::Outside;
use crate::sandbox::{self, API_INSIDE, Executed, Sandbox, SandboxError, SandboxRequest};

/// What shall be made.
#[derive(Clone, Debug)]
pub enum Request {
    /// A sandbox.
    Sandbox(SandboxRequest),
    /// A kind cluster.
    Kind(KindRequest),
    /// A cluster that is there: nothing is made but room for a run.
    Existing(ExistingRequest),
}

/// A running cluster.
#[derive(Debug)]
pub enum Cluster {
    /// A sandbox, which ends with this process unless it was released.
    Sandbox(Sandbox),
    /// A kind cluster.
    Kind(Kind),
    /// A cluster that was there before.
    Existing(Existing),
}

/// Something about a cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// About a sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// About a kind cluster.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// About the way to its API server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// About a cluster that is not ours.
    #[error(transparent)]
    Existing(#[from] ExistingError),
}

impl Request {
    /// The provider's name, as ledger and reports have it.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Sandbox(_) => "sandbox",
            Self::Kind(_) => kind::PROVIDER,
            Self::Existing(_) => existing::PROVIDER,
        }
    }
}

impl Cluster {
    /// Makes a cluster; returns when its API answers and its nodes are starting.
    ///
    /// When it fails, or when the future is dropped, [`collect`] removes what is left.
    ///
    /// # Errors
    /// When the machine lacks something, or the cluster does not come up.
    pub async fn boot(
        request: Request,
        components: &Components,
        ledger: &Ledger,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<Self, ProviderError> {
        Ok(match request {
            Request::Sandbox(request) => {
                Self::Sandbox(Sandbox::boot(request, components, ledger, progress).await?)
            }
            Request::Kind(request) => Self::Kind(Kind::boot(request, components, ledger, progress).await?),
            Request::Existing(request) => Self::Existing(Existing::enter(request, ledger).await?),
        })
    }

    /// A client for it.
    ///
    /// # Errors
    /// When its kubeconfig cannot be used.
    pub async fn client(&self) -> Result<kube::Client, ProviderError> {
        match self {
            Self::Existing(existing) => Ok(existing.client()),
            Self::Sandbox(_) | Self::Kind(_) => Ok(client(&self.kubeconfig()).await?),
        }
    }

    /// The kubeconfig of its administrator, readable by this user only; of a cluster that was there, the user's own.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        match self {
            Self::Sandbox(sandbox) => sandbox.kubeconfig(),
            Self::Kind(kind) => kind.kubeconfig(),
            Self::Existing(existing) => existing.kubeconfig(),
        }
    }

    /// Names of its nodes; of a cluster that was there, those that the run is about.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        match self {
            Self::Sandbox(sandbox) => sandbox.nodes(),
            Self::Kind(kind) => kind.nodes(),
            Self::Existing(existing) => existing.nodes(),
        }
    }

    /// Address under which pods and agents reach the API server without any service translation.
    #[must_use]
    pub fn api_inside(&self) -> (String, u16) {
        match self {
            Self::Sandbox(_) => (API_INSIDE.0.to_owned(), API_INSIDE.1),
            Self::Kind(kind) => kind.api_inside(),
            Self::Existing(existing) => existing.api(),
        }
    }

    /// A host outside of the cluster, on which this program can play roles; `None` where there is none.
    #[must_use]
    pub fn outside(&self) -> Option<Outside> {
        match self {
            Self::Sandbox(sandbox) => Some(sandbox.outside()),
            Self::Kind(kind) => kind.outside(),
            Self::Existing(_) => None,
        }
    }

    /// Returns a function that tells the memory that it holds now, bytes; `None` where that is not known.
    pub fn memory_meter(&self) -> Box<dyn Fn() -> Option<u64> + Send> {
        match self {
            Self::Sandbox(sandbox) => Box::new(sandbox.memory_meter()),
            Self::Kind(_) | Self::Existing(_) => Box::new(|| None),
        }
    }

    /// Lets it outlive this process; it is then removed by [`down`]. What a run made in a cluster that was there before is
    /// removed even so.
    ///
    /// # Errors
    /// When it has ended already, or the ledger cannot be written.
    pub async fn release(self) -> Result<(), ProviderError> {
        match self {
            Self::Sandbox(sandbox) => Ok(sandbox.release().await?),
            Self::Kind(kind) => Ok(kind.release()?),
            Self::Existing(existing) => Ok(Box::pin(existing.leave()).await?),
        }
    }

    /// Takes it down: when this returns nothing of it runs or is left on disk. Of a cluster that was there before, that is
    /// what the run made in it.
    ///
    /// # Errors
    /// When something is still there after the deadline; `seatrial gc` tries again.
    pub async fn destroy(self) -> Result<(), ProviderError> {
        match self {
            Self::Sandbox(sandbox) => Ok(sandbox.destroy().await?),
            Self::Kind(kind) => Ok(kind.destroy().await?),
            Self::Existing(existing) => Ok(Box::pin(existing.leave()).await?),
        }
    }
}

fn is_kind(entry: &Entry) -> bool {
    entry.provider == kind::PROVIDER
}

/// Runs a command in a node, as root.
///
/// # Errors
/// When the node cannot be reached or the command fails.
pub async fn exec(
    ledger: &Ledger,
    entry: &Entry,
    node: &str,
    argv: &[&str],
) -> Result<Executed, ProviderError> {
    if is_kind(entry) {
        return Ok(kind::exec(entry, node, argv).await?);
    }
    Ok(sandbox::exec(&ledger.folder(&entry.id), node, argv, None).await?)
}

/// Removes what is left of a cluster that has ended, or is ending; waits until it has. One that is gone is fine.
///
/// # Errors
/// When it is alive after the deadline, or cannot be removed.
pub async fn collect(ledger: &Ledger, id: &str) -> Result<(), ProviderError> {
    let entries = ledger.list().map_err(SandboxError::from)?;
    match entries.iter().find(|(entry, _)| entry.id == id) {
        Some((entry, _)) if is_kind(entry) => Ok(kind::collect(ledger, id).await?),
        Some((entry, _)) if entry.access.is_some() => Ok(existing::collect(ledger, entry).await?),
        _ => Ok(sandbox::collect(ledger, id).await?),
    }
}

/// Ends a cluster that outlived its command, and removes it.
///
/// # Errors
/// When it does not end.
pub async fn down(ledger: &Ledger, entry: &Entry) -> Result<(), ProviderError> {
    if is_kind(entry) {
        return Ok(kind::down(ledger, entry).await?);
    }
    Ok(sandbox::down(ledger, entry).await?)
}
