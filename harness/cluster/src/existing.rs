//! A cluster that the user names: nothing of it is made, changed or removed but a namespace of the run's own.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DeleteParams, Preconditions};
use serde::{Deserialize, Serialize};

use crate::client::{ClientError, client_of};
use crate::ledger::{Entry, Held, Ledger, LedgerError};
use crate::wait::{self, Timeout};

/// The name of the provider.
pub const PROVIDER: &str = "existing";
/// Label that holds the id of the run to which an object belongs.
const RUN_LABEL: &str = "seatrial.dev/run";
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
    pub fn enter(&self, ledger: &Ledger, id: &str, nodes: usize) -> Result<Held, LedgerError> {
        ledger.enter(&Entry::existing(id, u32::try_from(nodes).unwrap_or(u32::MAX), self.clone()))
    }

    /// Removes the namespace of a run, if it is the run's, and waits until it is gone.
    ///
    /// # Errors
    /// When the API server refuses, or the namespace is there after the deadline, or is somebody else's.
    pub async fn remove(&self, client: &Client, id: &str) -> Result<(), ExistingError> {
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
            Access { kubeconfig, context, namespace: "seatrial-1".into() }
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
        let access = Access { kubeconfig: "k".into(), context: "lab".into(), namespace: "seatrial-1".into() };
        let held = access.enter(&ledger, "1", 3).unwrap();
        let entry = held.read().unwrap();
        assert_eq!((entry.provider.as_str(), entry.nodes, entry.access), (PROVIDER, 3, Some(access)));
    }
}
