//! Errors of charts and manifests.

use std::path::PathBuf;

/// A chart that could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// helm could not be started.
    #[error("{} could not be started", helm.display())]
    Start {
        /// The program.
        helm: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// helm refused the chart.
    #[error("`{command}` failed:\n{output}")]
    Helm {
        /// The command line.
        command: String,
        /// What it printed.
        output: String,
    },
    /// A manifest could not be read.
    #[error("{} could not be read", path.display())]
    Read {
        /// File or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A document is not a Kubernetes object.
    #[error("{} has a document that is not a Kubernetes object: {reason}", chart.display())]
    Document {
        /// The chart.
        chart: PathBuf,
        /// Why.
        reason: String,
    },
}
