//! The one place that starts programs: `nft` and `conntrack`.

use std::io;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::ruleset::TABLE;

/// A program that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// It could not be run.
    #[error("{program} could not be run; the image has to hold it")]
    Run {
        /// Its name.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It said no.
    #[error("{program} failed: {message}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it printed.
        message: String,
    },
}

/// Runs a script as one transaction.
pub(crate) async fn apply(script: &str) -> Result<(), ToolError> {
    run("nft", &["-f", "-"], script).await
}

/// Removes the table with all that the agent programmed.
pub(crate) async fn clear() -> Result<(), ToolError> {
    apply(&format!("table {TABLE}\ndelete table {TABLE}\n")).await
}

/// Forgets every tracked connection.
pub(crate) async fn flush_conntrack() -> Result<(), ToolError> {
    run("conntrack", &["-F"], "").await
}

async fn run(program: &'static str, args: &[&str], input: &str) -> Result<(), ToolError> {
    let output = feed(program, args, input).await.map_err(|source| ToolError::Run { program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ToolError::Failed { program, message })
}

async fn feed(program: &str, args: &[&str], input: &str) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    child.wait_with_output().await
}
