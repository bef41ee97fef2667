//! How an existing cluster is reached.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::client::{ClientError, client_of};

/// How the cluster is reached, and what a run creates in it. The detail of a ledger entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// The context in it.
    pub context: String,
    /// The namespace that the run creates and removes.
    pub namespace: String,
    /// Whether the run upgrades the agents; it then creates and removes pre-flight checks, too.
    #[serde(default)]
    pub upgrades: bool,
}

impl Access {
    /// A client for the context.
    ///
    /// # Errors
    /// When the file cannot be read, or has no such context; the message lists those that it has.
    pub async fn client(&self) -> Result<kube::Client, ClientError> {
        Ok(self.connect().await?.0)
    }

    /// A client for the context, and the address of the server that it uses.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub async fn connect(&self) -> Result<(kube::Client, String), ClientError> {
        client_of(&self.kubeconfig, &self.context).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: prod\n\
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n\
        contexts: [{name: prod, context: {cluster: c, user: u}}, {name: lab, context: {cluster: c, user: u}}]\n";

    #[tokio::test]
    async fn context_must_be_named() {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        std::fs::write(&kubeconfig, CONFIG).unwrap();
        let access = |context: &str| {
            let (kubeconfig, context) = (kubeconfig.clone(), context.to_owned());
            Access { kubeconfig, context, namespace: "seatrial-1".into(), upgrades: false }
        };
        assert_eq!(access("lab").connect().await.unwrap().1, "https://127.0.0.1:1/");
        let error = access("").client().await.err().unwrap();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "there is no context \"\"; the contexts are prod, lab");
    }

    #[tokio::test]
    async fn a_context_that_is_defined_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        std::fs::write(&kubeconfig, CONFIG.replace("name: lab", "name: prod")).unwrap();
        let (context, namespace) = ("prod".to_owned(), "seatrial-1".to_owned());
        let error = Access { kubeconfig, context, namespace, upgrades: true }.client().await.err().unwrap();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "the context prod is defined 2 times; give each context a name of its own");
    }
}
