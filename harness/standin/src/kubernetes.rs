//! The client of the API server.

use kube::config::InClusterError;
use kube::{Client, Config};

/// The API server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The pod's service account or its environment.
    #[error(
        "the pod has no access to the API server; it needs a service account and KUBERNETES_SERVICE_HOST"
    )]
    Access(#[from] InClusterError),
    /// The client itself.
    #[error("the API server's client cannot be made")]
    Client(#[from] Box<kube::Error>),
}

/// Makes a client from the pod's service account.
///
/// `KUBERNETES_SERVICE_HOST` has to be an address that works without services, not the cluster address of the service
/// `kubernetes`: that one is translated by the agent itself.
pub(crate) fn client() -> Result<Client, ClientError> {
    let mut config = Config::incluster_env()?;
    // The client's own retries would hide an API server that is away.
    config.default_retry = false;
    Ok(Client::try_from(config).map_err(Box::new)?)
}
