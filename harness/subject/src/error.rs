//! Errors of everything that happens before a version is installed.

use cluster::CommandError;
use cluster::components::ComponentError;
use cluster::images::ImageError;
use cluster::pki::PkiError;

use crate::input::InputError;
use crate::source::ChartError;

/// A subject that cannot be prepared for installation.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The user's input cannot be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A chart or manifests cannot be rendered.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// An image cannot be packed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A program is missing.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] PkiError),
    /// The cluster could not be read.
    #[error("the nodes could not be listed")]
    Nodes(#[source] Box<kube::Error>),
    /// A program failed.
    #[error("{what}")]
    Command {
        /// The effect of the failure.
        what: String,
        /// The failed command.
        #[source]
        source: Box<CommandError>,
    },
    /// A file cannot be read or written.
    #[error("{what}")]
    File {
        /// The file, and what was to be done with it.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Something lacks a part that is needed.
    #[error("{0}")]
    Incomplete(String),
}

impl PrepareError {
    /// Wraps an error of the file system.
    pub(crate) fn file(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::File { what, source }
    }
}

/// The message of an error with its causes, in one line.
pub(crate) fn line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        cause = next.source();
    }
    line
}
