//! Commands in the namespaces of the nodes, through the socket of each node.

use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::error::{SandboxError, io};
use super::spec::{NodeReply, NodeRequest};
use crate::error::ProviderError;
use crate::exec::{Executed, NodeShell};

/// Runs commands on the nodes of the cluster with this folder in the ledger.
#[derive(Debug)]
pub(super) struct SandboxShell {
    pub(super) folder: PathBuf,
}

impl NodeShell for SandboxShell {
    fn exec<'a>(
        &'a self,
        node: &'a str,
        argv: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Executed, ProviderError>> {
        async move { Ok(exec(&self.folder, node, argv, None).await?) }.boxed()
    }
}

/// Runs a command in the namespaces of a node, as root; `folder` is that of the cluster in the ledger.
///
/// # Errors
/// When the node cannot be reached or the command fails.
pub async fn exec(
    folder: &Path,
    node: &str,
    argv: &[&str],
    stdin: Option<String>,
) -> Result<Executed, SandboxError> {
    let what = format!("`{}` could not be run on {node}", argv.join(" "));
    let request = NodeRequest::Exec { argv: argv.iter().map(|&a| a.to_owned()).collect(), stdin };
    send(folder, node, &request).await.map_err(io(what))
}

/// Disables the rules of an existing nftables table (family inet) of a node, or enables them again. The time at which that
/// happens is known to tens of microseconds.
///
/// # Errors
/// When the node cannot be reached or has no such table.
pub async fn set_dormant(
    folder: &Path,
    node: &str,
    table: &str,
    dormant: bool,
) -> Result<Executed, SandboxError> {
    let what = format!("the table inet {table} of {node} could not be switched");
    let request = NodeRequest::SetDormant { table: table.to_owned(), dormant };
    send(folder, node, &request).await.map_err(io(what))
}

async fn send(folder: &Path, node: &str, request: &NodeRequest) -> std::io::Result<Executed> {
    let mut stream = UnixStream::connect(folder.join(format!("{node}.sock"))).await?;
    stream.write_all(&serde_json::to_vec(request)?).await?;
    stream.shutdown().await?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await?;
    let NodeReply { started_ns, ended_ns, result } = serde_json::from_slice(&text)?;
    let output = result.map_err(std::io::Error::other)?;
    Ok(Executed { started_ns, ended_ns, output })
}
