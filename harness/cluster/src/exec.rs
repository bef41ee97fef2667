//! Commands that run on a node of a cluster.

use std::fmt::Debug;

use futures_util::future::BoxFuture;

use crate::error::ProviderError;

/// The result of a command that ran on a node.
#[derive(Clone, Debug)]
pub struct Executed {
    /// CLOCK_MONOTONIC right before it started, nanoseconds.
    pub started_ns: i64,
    /// CLOCK_MONOTONIC right after it ended, nanoseconds.
    pub ended_ns: i64,
    /// Its standard output.
    pub output: String,
}

/// Runs commands on the nodes of a cluster, as root.
pub trait NodeShell: Debug + Send + Sync {
    /// Runs a command on a node and returns its output.
    ///
    /// Fails when the node cannot be reached or the command fails.
    fn exec<'a>(
        &'a self,
        node: &'a str,
        argv: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Executed, ProviderError>>;
}
