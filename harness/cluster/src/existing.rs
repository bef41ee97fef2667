//! A cluster that the user names: a run makes a namespace of its own there, and where it upgrades the agents a pre-flight
//! check; both carry its id, and nothing else is removed.

use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::client::{ClientError, client_of};
use crate::ledger::{Entry, Held, Ledger, LedgerError};
use crate::wait::{self, Timeout};

/// The name of the provider.
pub const PROVIDER: &str = "existing";
/// Label that holds the id of the run to which an object belongs.
pub const RUN_LABEL: &str = "seatrial.dev/run";
/// How long a namespace may take to go.
const GONE: Duration = Duration::from_secs(60);
/// How long is waited for another seatrial to let go of its entry.
const ENDED: Duration = Duration::from_secs(10);

/// How the cluster is reached, and what is made there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// The context in it.
    pub context: String,
    /// The namespace that is made and removed.
    pub namespace: String,
    /// Whether its agents are upgraded: pre-flight checks are made and removed then, too.
    #[serde(default)]
    pub upgrades: bool,
}

/// Something about an existing cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ExistingError {
    /// The kubeconfig.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A wait.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// The API server.
    #[error("namespace {namespace} of context {context} could not be removed")]
    Remove {
        /// The namespace.
        namespace: String,
        /// The context.
        context: String,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// The API server, of what else was made.
    #[error("the pre-flight check of run {id} in context {context} could not be removed")]
    Sweep {
        /// The run.
        id: String,
        /// The context.
        context: String,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// Somebody else's namespace has the name.
    #[error("namespace {namespace} of context {context} is not of run {id}; it was left alone")]
    Foreign {
        /// The namespace.
        namespace: String,
        /// The context.
        context: String,
        /// The run.
        id: String,
    },
}

/// What is asked of a cluster that is there.
#[derive(Clone, Debug)]
pub struct ExistingRequest {
    /// Id of the run.
    pub id: String,
    /// How it is reached, and what is made there.
    pub access: Access,
    /// The nodes that get probes.
    pub nodes: Vec<String>,
    /// Where its API server is reached without any service translation.
    pub api: (String, u16),
}

/// A cluster that was there before, while a run is at work in it.
pub struct Existing {
    request: ExistingRequest,
    client: Client,
    held: Held,
}

impl Debug for Existing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Existing").field("request", &self.request).finish_non_exhaustive()
    }
}

impl Existing {
    /// Enters the run into the ledger.
    pub(crate) async fn enter(request: ExistingRequest, ledger: &Ledger) -> Result<Self, ExistingError> {
        let client = request.access.client().await?;
        let held = request.access.enter(ledger, &request.id, request.nodes.len())?;
        Ok(Self { request, client, held })
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.request.access.kubeconfig.clone()
    }

    pub(crate) fn nodes(&self) -> Vec<String> {
        self.request.nodes.clone()
    }

    pub(crate) fn api(&self) -> (String, u16) {
        self.request.api.clone()
    }

    /// Removes what was made in it, then the entry.
    pub(crate) async fn leave(self) -> Result<(), ExistingError> {
        self.request.access.remove(&self.client, &self.request.id).await?;
        Ok(self.held.remove()?)
    }
}

impl Access {
    /// A client for the context.
    ///
    /// # Errors
    /// When the file cannot be read, or has no such context; names those that it has.
    pub async fn client(&self) -> Result<Client, ClientError> {
        client_of(&self.kubeconfig, &self.context).await
    }

    /// Enters a run into the ledger, before anything is made in the cluster.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn enter(&self, ledger: &Ledger, id: &str, nodes: usize) -> Result<Held, LedgerError> {
        ledger.enter(&Entry::existing(id, u32::try_from(nodes).unwrap_or(u32::MAX), self.clone()))
    }

    /// Removes what a run has made: its pre-flight check, where that was not finished, and its namespace.
    ///
    /// # Errors
    /// When the API server refuses, or the namespace is there after the deadline, or is somebody else's.
    async fn remove(&self, client: &Client, id: &str) -> Result<(), ExistingError> {
        if self.upgrades {
            let (context, id) = (self.context.clone(), id.to_owned());
            let swept = sweep(client, &id).await;
            swept.map_err(|source| ExistingError::Sweep { id, context, source: Box::new(source) })?;
        }
        self.remove_namespace(client, id).await
    }

    /// Removes the namespace of a run, if it is the run's, and waits until it is gone.
    async fn remove_namespace(&self, client: &Client, id: &str) -> Result<(), ExistingError> {
        let api: Api<Namespace> = Api::all(client.clone());
        let refused = |source| ExistingError::Remove {
            namespace: self.namespace.clone(),
            context: self.context.clone(),
            source: Box::new(source),
        };
        let Some(found) = api.get_opt(&self.namespace).await.map_err(refused)? else { return Ok(()) };
        if found.metadata.labels.as_ref().and_then(|labels| labels.get(RUN_LABEL)).map(String::as_str)
            != Some(id)
        {
            let (namespace, context, id) = (self.namespace.clone(), self.context.clone(), id.to_owned());
            return Err(ExistingError::Foreign { namespace, context, id });
        }
        // The very one that was looked at, and none that took its name since.
        let uid = found.metadata.uid;
        let this = DeleteParams {
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..Default::default()
        };
        match api.delete(&self.namespace, &this).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            deleted => drop(deleted.map_err(refused)?),
        }
        let probe = async || match api.get_opt(&self.namespace).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("it is still there; does one of its pods not end?".to_owned()),
            Err(e) => Err(e.to_string()),
        };
        let condition = format!("namespace {} to be gone", self.namespace);
        Ok(wait::until(&condition, GONE, Duration::from_millis(100), probe).await?)
    }
}

/// Deletes what carries the id of a run, of the kinds that pre-flight checks are made of.
async fn sweep(client: &Client, id: &str) -> kube::Result<()> {
    let of_run = ListParams::default().labels(&format!("{RUN_LABEL}={id}"));
    let (client, place) = (client.clone(), "kube-system");
    delete_all(&Api::<DaemonSet>::namespaced(client.clone(), place), &of_run).await?;
    delete_all(&Api::<Deployment>::namespaced(client.clone(), place), &of_run).await?;
    delete_all(&Api::<ServiceAccount>::namespaced(client.clone(), place), &of_run).await?;
    delete_all(&Api::<ClusterRoleBinding>::all(client.clone()), &of_run).await?;
    delete_all(&Api::<ClusterRole>::all(client), &of_run).await
}

async fn delete_all<K>(api: &Api<K>, which: &ListParams) -> kube::Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    api.delete_collection(&DeleteParams::default(), which).await.map(drop)
}

/// Removes what a run that has ended left in a cluster, then its entry.
///
/// # Errors
/// When the run goes on, or the namespace cannot be removed: the entry stays.
pub(crate) async fn collect(ledger: &Ledger, entry: &Entry) -> Result<(), ExistingError> {
    let Some(held) = ledger.wait_dead(&entry.id, ENDED).await? else { return Ok(()) };
    if let Some(access) = &entry.access {
        access.remove(&access.client().await?, &entry.id).await?;
    }
    Ok(held.remove()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: prod\n\
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n\
        contexts: [{name: prod, context: {cluster: c, user: u}}, {name: lab, context: {cluster: c, user: u}}]\n";

    #[tokio::test]
    async fn a_context_is_named_and_never_guessed() {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        std::fs::write(&kubeconfig, CONFIG).unwrap();
        let access = |context: &str| {
            let (kubeconfig, context) = (kubeconfig.clone(), context.to_owned());
            Access { kubeconfig, context, namespace: "seatrial-1".into(), upgrades: false }
        };
        assert!(access("lab").client().await.is_ok());
        let error = access("").client().await.err().unwrap();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "it has no context ; it has prod, lab");
    }

    #[test]
    fn an_entry_is_read_back_with_its_access() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(state.path());
        let access = Access {
            kubeconfig: "k".into(),
            context: "lab".into(),
            namespace: "seatrial-1".into(),
            upgrades: true,
        };
        let held = access.enter(&ledger, "1", 3).unwrap();
        let entry = held.read().unwrap();
        assert_eq!((entry.provider.as_str(), entry.nodes, entry.access), (PROVIDER, 3, Some(access)));
    }
}
