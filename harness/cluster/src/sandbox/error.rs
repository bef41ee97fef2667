//! The errors of sandboxes, each with its remedy.

use std::path::PathBuf;

use crate::components::ComponentError;
use crate::cpu::CpuWeightError;
use crate::error::ProviderError;
use crate::images::ImageError;
use crate::ledger::LedgerError;
use crate::pki::PkiError;
use crate::wait;

/// A sandbox could not be booted, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A component is missing.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// An image could not be written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The port of the API server is in use.
    #[error("port {port} of 127.0.0.1 cannot be used; choose another with --api-port, or leave it out")]
    Port {
        /// The requested port.
        port: u16,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The certificates could not be created.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file or a process could not be used.
    #[error("{what}")]
    Io {
        /// What failed.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Something inside the sandbox failed.
    #[error("the sandbox did not come up: {message}; logs are in {}", logs.display())]
    Inside {
        /// Its message.
        message: String,
        /// Where the logs of the components are.
        logs: PathBuf,
    },
    /// It did not end in time.
    #[error(transparent)]
    Timeout(#[from] wait::Timeout),
    /// The CPU weight could not be set.
    #[error(transparent)]
    CpuWeight(#[from] CpuWeightError),
    /// The number of nodes is out of range.
    #[error("a sandbox has 1 to 5 nodes, but {0} are requested; change --nodes")]
    Nodes(u8),
}

pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> SandboxError {
    let what = what.into();
    move |source| SandboxError::Io { what, source }
}

impl From<SandboxError> for ProviderError {
    fn from(error: SandboxError) -> Self {
        Self::new(error)
    }
}
