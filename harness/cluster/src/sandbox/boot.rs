//! Boots a sandbox from the host side.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use command_fds::{CommandFdExt as _, FdMapping};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::cluster::Sandbox;
use super::error::{SandboxError, io};
use super::prepare::prepare;
use super::spec::{Report, Spec};
use super::{NAME, Role, SandboxProvider, cgroup, fds};
use crate::components::Component;
use crate::ledger::{Entry, Held};
use crate::provider::{BootContext, Progress};
use crate::request::ClusterRequest;
use crate::spawn::this_program;

/// Boots a cluster; when that fails, or when the future is dropped, its processes end.
pub(super) async fn boot(
    provider: &SandboxProvider,
    request: ClusterRequest,
    context: BootContext<'_>,
) -> Result<Sandbox, SandboxError> {
    if !(1..=5).contains(&request.nodes) {
        return Err(SandboxError::Nodes(request.nodes));
    }
    let mut programs = BTreeMap::new();
    for component in Component::CLUSTER {
        let program = context.components.resolve(component, context.progress).await?;
        programs.insert(component.name().to_owned(), program);
    }
    let entry = Entry {
        cgroup: format!("seatrial-{}", request.id),
        kept: request.keep,
        ..Entry::new(NAME, &request.id, request.nodes.into())
    };
    let held = context.ledger.enter(&entry)?;
    let (mut sandbox, spec) = start(provider, &request, programs, held, entry)?;
    match until_up(&mut sandbox, &spec, context.progress).await {
        Ok(()) => Ok(sandbox),
        Err(message) => {
            sandbox.end().await?;
            Err(SandboxError::Inside { message, logs: request.logs })
        }
    }
}

/// Starts the first process of the sandbox.
fn start(
    provider: &SandboxProvider,
    request: &ClusterRequest,
    programs: BTreeMap<String, PathBuf>,
    held: Held,
    mut entry: Entry,
) -> Result<(Sandbox, Spec), SandboxError> {
    let port = provider.api_port;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|source| SandboxError::Port { port, source })?;
    entry.api = listener.local_addr().map_err(io("the address of the API server"))?.to_string();
    let dual_stack = provider.dual_stack || request.dual_stack;
    let spec = prepare(request, dual_stack, programs, &held, &entry)?;
    let lock = held.share_lock().map_err(io("the lock of the ledger entry could not be shared"))?;
    cgroup::make(&entry.cgroup).map_err(io("the cgroup of the cluster could not be created"))?;
    let name = entry.cgroup.clone();
    request.cpu_weight.attach(move |priority| cgroup::weigh(&name, priority.eighths()))?;
    let (outer, control) = spawn(&entry.cgroup, listener.into(), lock, &request.logs)?;
    entry.root = outer.id().unwrap_or_default();
    held.write(&entry)?;
    Ok((Sandbox { entry, held, outer, control }, spec))
}

/// Sends the specification, and reads reports until the sandbox is up.
async fn until_up(sandbox: &mut Sandbox, spec: &Spec, progress: &Progress<'_>) -> Result<(), String> {
    let text = serde_json::to_string(spec).map_err(|e| e.to_string())?;
    let Some(stdout) = sandbox.outer.stdout.take() else { unreachable!("it is a pipe") };
    let mut reports = BufReader::new(stdout).lines();
    if let Err(e) = sandbox.control.write_all(format!("{text}\n").as_bytes()).await {
        tracing::debug!(error = %e, "the sandbox ended before it read its specification; its report has the reason");
    }
    while let Ok(Some(line)) = reports.next_line().await {
        match serde_json::from_str(&line).map_err(|e| format!("unreadable report `{line}`: {e}"))? {
            Report::Entered => {}
            Report::Progress { message } => progress(message),
            Report::Up => return Ok(()),
            Report::Failed { message } => return Err(message),
        }
    }
    Err("it ended without a report".to_owned())
}

fn spawn(
    cgroup: &str,
    listener: OwnedFd,
    lock: OwnedFd,
    logs: &Path,
) -> Result<(Child, ChildStdin), SandboxError> {
    let failed = || io("the sandbox's first process could not be started");
    std::fs::create_dir_all(logs).map_err(failed())?;
    let log = std::fs::File::create(logs.join("sandbox.log")).map_err(failed())?;
    let mut command = this_program(Role::Outer.name()).map_err(failed())?;
    command.arg(cgroup).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    command
        .fd_mappings(vec![
            FdMapping { parent_fd: listener, child_fd: fds::LISTENER },
            FdMapping { parent_fd: lock, child_fd: fds::LOCK },
        ])
        .map_err(|e| failed()(std::io::Error::other(e)))?;
    let mut outer = Command::from(command).spawn().map_err(failed())?;
    let Some(control) = outer.stdin.take() else { unreachable!("it is a pipe") };
    Ok((outer, control))
}
