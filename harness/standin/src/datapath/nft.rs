//! The one place that starts programs: `nft` and `conntrack`.

use std::io;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::TABLE;
use crate::policy::resolve::Transport;

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
    /// It refused.
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
    run("nft", &["-f", "-"], script).await.map(drop)
}

/// The output of a listing command.
pub(super) async fn list(command: &str) -> Result<Value, ToolError> {
    let listing = run("nft", &["-j", command], "").await?;
    Ok(serde_json::from_slice(&listing).unwrap_or_default())
}

/// An object of our table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// `chain`, `map` or `set`.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
}

/// The chains, maps and sets of our table, which is made if it is missing.
///
/// The command is passed as an argument: with `-j`, nft parses its standard input as JSON, and prints nothing
/// and succeeds when it is not.
pub(crate) async fn objects() -> Result<Vec<Object>, ToolError> {
    run("nft", &[&format!("add table {TABLE}")], "").await?;
    let listing = run("nft", &["-t", "-j", &format!("list table {TABLE}")], "").await?;
    Ok(parse(&listing))
}

fn parse(listing: &[u8]) -> Vec<Object> {
    let listing: Value = serde_json::from_slice(listing).unwrap_or_default();
    let items = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let object = |item: &Value| {
        let (kind, body) = item.as_object()?.iter().next()?;
        let name = body.get("name")?.as_str()?.to_owned();
        ["chain", "map", "set"].contains(&kind.as_str()).then(|| Object { kind: kind.clone(), name })
    };
    items.filter_map(object).collect()
}

/// Removes all that the agent programmed. Until the next agent's first rules pods may send nothing: no rules must not mean
/// that everything is allowed.
pub(crate) async fn clear() -> Result<(), ToolError> {
    apply(&cleared()).await
}

fn cleared() -> String {
    format!(
        "table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n\tchain policy_prerouting {{\n\
         \t\ttype filter hook prerouting priority -50; policy accept;\n\t\tiifname \"lxc*\" drop\n\t}}\n}}\n"
    )
}

/// Forgets every tracked connection.
pub(crate) async fn flush_conntrack() -> Result<(), ToolError> {
    run("conntrack", &["-F"], "").await.map(drop)
}

/// Forgets every tracked TCP connection.
pub(crate) async fn flush_tcp_conntrack() -> Result<(), ToolError> {
    delete_connections(&["-p", "tcp"]).await
}

/// Forgets every tracked TCP connection through a service.
pub(crate) async fn forget_service_connections() -> Result<(), ToolError> {
    delete_connections(&["-p", "tcp", "--dst-nat"]).await
}

/// The connections that the kernel tracks, one a line.
pub(super) async fn connections(transport: Transport) -> Result<String, ToolError> {
    let listing = run("conntrack", &["-L", "-f", "ipv4", "-p", &transport.to_string()], "").await?;
    Ok(String::from_utf8_lossy(&listing).into_owned())
}

async fn delete_connections(which: &[&str]) -> Result<(), ToolError> {
    let args: Vec<&str> = ["-D"].iter().chain(which).copied().collect();
    match run("conntrack", &args, "").await {
        // It fails as well when there was nothing to delete.
        Err(ToolError::Failed { message, .. }) if message.contains("0 flow entries have been deleted") => {
            Ok(())
        }
        done => done.map(drop),
    }
}

async fn run(program: &'static str, args: &[&str], input: &str) -> Result<Vec<u8>, ToolError> {
    let output = feed(program, args, input).await.map_err(|source| ToolError::Run { program, source })?;
    if output.status.success() {
        return Ok(output.stdout);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_stay_off_the_network_when_their_rules_are_cleared() {
        let script = cleared();
        assert!(script.contains("delete table") && script.contains("iifname \"lxc*\" drop"), "{script}");
    }

    #[test]
    fn objects_are_read_from_a_listing() {
        let listing = br#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"name": "cilium"}},
            {"map": {"name": "ipcache_g1", "map": "mark"}}, {"chain": {"name": "enforce_g1", "handle": 3}},
            {"rule": {"chain": "enforce_g1", "expr": [{"drop": null}]}}]}"#;
        let object = |kind: &str, name: &str| Object { kind: kind.into(), name: name.into() };
        assert_eq!(parse(listing), [object("map", "ipcache_g1"), object("chain", "enforce_g1")]);
    }
}
