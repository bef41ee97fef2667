//! Errors of the steps on a cluster.

use cluster::wait::Timeout;

use crate::source::ChartError;

/// A step on a cluster that failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The chart could not be rendered.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// An object could not be read or changed.
    #[error("{what}")]
    Request {
        /// The operation and the object.
        what: String,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// A condition was not met in time.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// A rendered object has no kind or no name.
    #[error("a rendered object has no {0}")]
    IncompleteObject(&'static str),
    /// There was only one rollout.
    #[error("DaemonSet {0} has no earlier revision to go back to")]
    NoEarlierRevision(String),
    /// The connection to a command broke.
    #[error("`{command}` in pod {pod} was cut off: {why}")]
    CutOff {
        /// The command.
        command: String,
        /// The pod.
        pod: String,
        /// What was missing.
        why: String,
    },
    /// No pod was started under this name.
    #[error("no pod runs under the name {0}")]
    NoPods(String),
    /// A command of the pre-flight check failed.
    #[error("`{command}` failed in the pre-flight check: {output}")]
    Command {
        /// The command.
        command: String,
        /// The last line of its output, or why it could not be run.
        output: String,
    },
    /// A text is not a manifest of the ConfigMap.
    #[error("the ConfigMap cannot be used: {0}")]
    Manifest(String),
    /// The component has no such object.
    #[error("{component} has no {object}")]
    NoSuchObject {
        /// The component.
        component: String,
        /// The kind of object.
        object: &'static str,
    },
}

pub(crate) fn request(what: impl Into<String>) -> impl FnOnce(kube::Error) -> InstallationError {
    let what = what.into();
    move |source| InstallationError::Request { what, source: Box::new(source) }
}
