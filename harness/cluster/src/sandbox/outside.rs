//! The host outside of a sandbox: a network namespace on the network of the nodes.

use std::io;
use std::net::Ipv4Addr;
use std::process::{ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use super::cgroup;
use super::node::{connect, follow};
use super::node_role::NODE_WEIGHT;
use super::report;
use super::spec::{Report, Spec};
use crate::outside;
use crate::spawn::{Run, this_program};

/// Its name, and that of its cgroup.
const NAME: &str = "outside";
/// Its address, on the network of the nodes.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 200);

/// Starts the process of the host and connects it to the bridge; returns when it accepts requests.
pub(super) async fn start(spec: &Spec, failures: &mpsc::Sender<String>) -> Result<(), String> {
    let failed = |e: io::Error| format!("the host outside of the cluster could not be started: {e}");
    let mut command = this_program(super::Role::Outside.name()).map_err(failed)?;
    command.arg(&spec.folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Command::from(command).spawn().map_err(failed)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        unreachable!("both are pipes");
    };
    let mut reports = BufReader::new(stdout).lines();
    match report::next(&mut reports).await {
        Some(Report::Entered) => {}
        other => {
            return Err(format!("the host outside of the cluster did not enter its namespaces: {other:?}"));
        }
    }
    let process = child.id().ok_or("the host outside of the cluster ended at once")?;
    connect(NAME, process).await?;
    stdin.write_all(b"wired\n").await.map_err(failed)?;
    match report::next(&mut reports).await {
        Some(Report::Up) => {}
        other => return Err(format!("the host outside of the cluster did not come up: {other:?}")),
    }
    follow(NAME.to_owned(), child, reports, failures.clone());
    Ok(())
}

/// The process of the host; single-threaded until it has entered its namespaces.
pub(super) fn outside(folder: &str) -> io::Result<ExitCode> {
    cgroup::enter(NAME)?;
    cgroup::weigh(NAME, NODE_WEIGHT)?;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
    nix::unistd::sethostname(NAME)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        report::send(&Report::Entered);
        let mut wired = BufReader::new(tokio::io::stdin()).lines();
        if wired.next_line().await?.is_none() {
            return Ok(ExitCode::FAILURE);
        }
        let batch = format!("link set lo up\naddr add {ADDRESS}/24 dev eth0\nlink set eth0 up\n");
        Run::new("ip").args(["-batch", "-"]).stdin(batch).output().await.map_err(io::Error::other)?;
        let listener = outside::listen(folder.as_ref())?;
        report::send(&Report::Up);
        match outside::serve(listener).await {}
    })
}
