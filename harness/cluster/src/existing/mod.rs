//! Clusters that exist already and belong to somebody else.
//!
//! A run creates a namespace of its own there, and where it upgrades the agents, a pre-flight check. Both carry its id, and
//! nothing else is removed.

mod access;
mod error;
mod removal;

use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

pub use self::access::Access;
pub use self::error::ExistingError;
pub use self::removal::RUN_LABEL;
use crate::error::{ProviderError, Unsupported};
use crate::ledger::{Entry, Held, Ledger};
use crate::options::{OptionError, ProviderOptions};
use crate::provider::{BootContext, Capabilities, Cluster, Origin, Provider};
use crate::registration::Registration;
use crate::request::ClusterRequest;

/// The name of the provider.
pub const NAME: &str = "existing";
/// How long another seatrial may take to release its entry.
const ENDED: Duration = Duration::from_secs(10);

/// The entry of the registry.
pub(crate) const REGISTRATION: Registration = Registration {
    name: NAME,
    summary: "an existing cluster: its agents are upgraded, and nothing else is changed",
    from_options: |options| Ok(Arc::new(ExistingProvider::from_options(options)?)),
    from_entry: |entry| Ok(Arc::new(ExistingProvider::from_entry(entry)?)),
    examine: |_| async { Vec::new() }.boxed(),
};

/// Uses an existing cluster.
#[derive(Clone, Debug)]
pub struct ExistingProvider {
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// The context in it.
    pub context: String,
    /// Whether the run upgrades the agents.
    pub upgrades: bool,
    /// What was found in the cluster; it must be set before a boot.
    pub target: Option<Target>,
}

/// The part of an existing cluster that a run uses.
#[derive(Clone)]
pub struct Target {
    /// The client that checked the cluster. The run uses the same one, so that a kubeconfig that changes meanwhile has no
    /// effect.
    pub client: kube::Client,
    /// The nodes that get probes.
    pub nodes: Vec<String>,
    /// Address and port of the API server, without any Service translation.
    pub api: (String, u16),
}

impl Debug for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("nodes", &self.nodes).field("api", &self.api).finish_non_exhaustive()
    }
}

impl ExistingProvider {
    /// Checks the options and keeps those of an existing cluster, which is upgraded.
    ///
    /// # Errors
    /// When an option is not for existing clusters, the context is missing, or the confirmation does not repeat it.
    pub fn from_options(options: &ProviderOptions) -> Result<Self, OptionError> {
        options.only(NAME, &["--context", "--yes-upgrade"])?;
        let Some(context) = &options.context else {
            return Err(OptionError("name the cluster with --context; there is no default".to_owned()));
        };
        if options.yes_upgrade.as_deref() != Some(context) {
            return Err(OptionError(format!(
                "--provider existing changes the agents of a cluster in use: confirm with --yes-upgrade {context}"
            )));
        }
        let kubeconfig = match &options.kubeconfig {
            Some(path) => path.clone(),
            None => default_kubeconfig()?,
        };
        // The ledger entry must be valid in every folder.
        let kubeconfig = std::path::absolute(&kubeconfig).map_err(|e| {
            OptionError(format!("the kubeconfig {} cannot be used: {e}", kubeconfig.display()))
        })?;
        Ok(Self { kubeconfig, context: context.clone(), upgrades: true, target: None })
    }

    fn from_entry(entry: &Entry) -> Result<Self, ExistingError> {
        let Access { kubeconfig, context, upgrades, .. } = access_of(entry)?;
        Ok(Self { kubeconfig, context, upgrades, target: None })
    }

    /// How a run with this id reaches the cluster.
    #[must_use]
    pub fn access(&self, id: &str) -> Access {
        Access {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: format!("seatrial-{id}"),
            upgrades: self.upgrades,
        }
    }

    /// Enters the run into the ledger.
    fn enter(&self, id: String, ledger: &Ledger) -> Result<ExistingCluster, ExistingError> {
        let no_target = || ExistingError::NotFound { context: self.context.clone() };
        let target = self.target.clone().ok_or_else(no_target)?;
        let access = self.access(&id);
        let client = target.client.clone();
        let nodes = u32::try_from(target.nodes.len()).unwrap_or(u32::MAX);
        let detail = serde_json::to_value(&access).ok();
        let held = ledger.enter(&Entry { detail, ..Entry::new(NAME, &id, nodes) })?;
        Ok(ExistingCluster { id, access, target, client, held })
    }
}

fn default_kubeconfig() -> Result<PathBuf, OptionError> {
    let home = std::env::home_dir().ok_or_else(|| {
        OptionError("there is no home folder; name the kubeconfig with --kubeconfig".to_owned())
    })?;
    Ok(home.join(".kube/config"))
}

fn access_of(entry: &Entry) -> Result<Access, ExistingError> {
    let detail = entry.detail.clone().unwrap_or_default();
    serde_json::from_value(detail).map_err(|source| ExistingError::Detail { id: entry.id.clone(), source })
}

impl Provider for ExistingProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { origin: Origin::Existing, pulls_images: true, ..Capabilities::MADE }
    }

    fn boot<'a>(
        &'a self,
        request: ClusterRequest,
        context: BootContext<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Cluster>, ProviderError>> {
        async move { Ok(Box::new(self.enter(request.id, context.ledger)?) as Box<dyn Cluster>) }.boxed()
    }

    fn collect<'a>(&'a self, ledger: &'a Ledger, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { Ok(collect(ledger, id).await?) }.boxed()
    }

    fn down<'a>(&'a self, _: &'a Ledger, _: &'a Entry) -> BoxFuture<'a, Result<(), ProviderError>> {
        async { Err(Unsupported { provider: NAME, action: "take a cluster down" }.into()) }.boxed()
    }
}

/// Removes what a run that has ended left in a cluster, then its entry; the entry stays when that fails.
async fn collect(ledger: &Ledger, id: &str) -> Result<(), ExistingError> {
    let Some(held) = ledger.wait_unlocked(id, ENDED).await? else { return Ok(()) };
    let access = access_of(&held.read()?)?;
    removal::remove(&access, &access.client().await?, id).await?;
    Ok(held.remove()?)
}

/// An existing cluster while a run uses it.
struct ExistingCluster {
    id: String,
    access: Access,
    target: Target,
    client: kube::Client,
    held: Held,
}

impl Debug for ExistingCluster {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExistingCluster").field("access", &self.access).finish_non_exhaustive()
    }
}

impl ExistingCluster {
    /// Removes what the run created, then the entry.
    async fn leave(self) -> Result<(), ExistingError> {
        removal::remove(&self.access, &self.client, &self.id).await?;
        Ok(self.held.remove()?)
    }
}

impl Cluster for ExistingCluster {
    fn id(&self) -> &str {
        &self.id
    }

    fn client(&self) -> BoxFuture<'_, Result<kube::Client, ProviderError>> {
        async { Ok(self.client.clone()) }.boxed()
    }

    fn kubeconfig(&self) -> PathBuf {
        self.access.kubeconfig.clone()
    }

    fn nodes(&self) -> Vec<String> {
        self.target.nodes.clone()
    }

    fn api_inside(&self) -> (String, u16) {
        self.target.api.clone()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>> {
        self.destroy()
    }

    fn destroy(self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>> {
        async move { Ok(self.leave().await?) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_read_back_with_its_access() {
        let options = ProviderOptions {
            context: Some("lab".to_owned()),
            kubeconfig: Some("/k".into()),
            yes_upgrade: Some("lab".to_owned()),
            ..ProviderOptions::default()
        };
        let provider = ExistingProvider::from_options(&options).unwrap();
        let detail = serde_json::to_value(provider.access("1")).ok();
        let state = tempfile::tempdir().unwrap();
        let held = Ledger::new(state.path()).enter(&Entry { detail, ..Entry::new(NAME, "1", 3) }).unwrap();
        let entry = held.read().unwrap();
        assert_eq!(access_of(&entry).unwrap(), provider.access("1"));
        assert_eq!(ExistingProvider::from_entry(&entry).unwrap().context, "lab");
    }

    #[test]
    fn entry_without_access_is_damaged() {
        let error = ExistingProvider::from_entry(&Entry::new(NAME, "1", 3)).unwrap_err();
        assert_eq!(error.to_string(), "the ledger entry of cluster 1 does not say how to reach it");
    }
}
