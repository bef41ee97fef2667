//! The errors of existing clusters.

use crate::client::ClientError;
use crate::error::ProviderError;
use crate::ledger::LedgerError;
use crate::wait::Timeout;

/// An existing cluster could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ExistingError {
    /// The kubeconfig cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A wait exceeded its deadline.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// The namespace could not be removed.
    #[error("namespace {namespace} of context {context} could not be removed")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// The context.
        context: String,
        /// The response.
        source: Box<kube::Error>,
    },
    /// The pre-flight check could not be removed.
    #[error("the pre-flight check of run {id} in context {context} could not be removed")]
    Preflight {
        /// The run.
        id: String,
        /// The context.
        context: String,
        /// The response.
        source: Box<kube::Error>,
    },
    /// The namespace belongs to somebody else.
    #[error("namespace {namespace} of context {context} does not belong to run {id} and was left alone")]
    Foreign {
        /// The namespace.
        namespace: String,
        /// The context.
        context: String,
        /// The run.
        id: String,
    },
    /// The ledger entry does not describe an existing cluster.
    #[error("the ledger entry of cluster {id} does not say how to reach it")]
    Detail {
        /// The cluster.
        id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The nodes or the API server were not looked up.
    #[error("the cluster of context {context} has no node for probes, or no endpoint of its API server")]
    NotFound {
        /// The context.
        context: String,
    },
}

impl From<ExistingError> for ProviderError {
    fn from(error: ExistingError) -> Self {
        Self::new(error)
    }
}
