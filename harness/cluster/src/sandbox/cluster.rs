//! A running sandbox, and the removal of a dead one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};

use super::error::{SandboxError, io};
use super::prepare::node_names;
use super::shell::SandboxShell;
use super::{API_INSIDE, cgroup, outside};
use crate::error::ProviderError;
use crate::exec::NodeShell;
use crate::ledger::{Entry, Held, Ledger};
use crate::outside::Outside;
use crate::provider::Cluster;
use crate::wait::{self, Timeout};

/// How long the processes of a sandbox may take to end.
const ENDED: Duration = Duration::from_secs(20);

/// A running sandbox. It ends with this process, unless it was released.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) entry: Entry,
    pub(super) held: Held,
    /// The first process of the sandbox.
    pub(super) outer: Child,
    /// Its standard input; the sandbox ends when this is closed.
    pub(super) control: ChildStdin,
}

impl Sandbox {
    /// Ends the sandbox and removes everything of it.
    pub(super) async fn end(self) -> Result<(), SandboxError> {
        let Self { entry, held, mut outer, control } = self;
        drop(control);
        match tokio::time::timeout(ENDED, outer.wait()).await {
            Ok(ended) => drop(ended.map_err(io("the state of the sandbox could not be read"))?),
            Err(_) => {
                let condition = format!("the first process of sandbox {} to end", entry.id);
                let last = "it still runs".to_owned();
                return Err(Timeout { condition, waited: ENDED, last }.into());
            }
        }
        remove(&entry, held).await
    }
}

impl Cluster for Sandbox {
    fn id(&self) -> &str {
        &self.entry.id
    }

    fn kubeconfig(&self) -> PathBuf {
        self.held.folder().join("kubeconfig")
    }

    fn nodes(&self) -> Vec<String> {
        node_names(self.entry.nodes)
    }

    fn api_inside(&self) -> (String, u16) {
        (API_INSIDE.0.to_owned(), API_INSIDE.1)
    }

    fn outside(&self) -> Option<Outside> {
        Some(Outside::new(self.held.folder(), outside::ADDRESS.into()))
    }

    fn shell(&self) -> Option<Arc<dyn NodeShell>> {
        Some(Arc::new(SandboxShell { folder: self.held.folder().to_owned() }))
    }

    fn memory_meter(&self) -> Box<dyn Fn() -> Option<u64> + Send> {
        let cgroup = self.entry.cgroup.clone();
        Box::new(move || cgroup::memory(&cgroup))
    }

    fn release(mut self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>> {
        async move {
            let released = self.control.write_all(b"release\n").await;
            Ok(released.map_err(io("the sandbox could not be released"))?)
        }
        .boxed()
    }

    fn destroy(self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>> {
        async move { Ok(self.end().await?) }.boxed()
    }
}

/// Removes what an ended sandbox has left: its cgroup, then its folder.
async fn remove(entry: &Entry, held: Held) -> Result<(), SandboxError> {
    let name = entry.cgroup.as_str();
    let probe = async || match cgroup::remove(name) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it still has processes".to_owned()),
        Err(e) => Err(e.to_string()),
    };
    let condition = format!("the cgroup {name} to be empty");
    wait::until(&condition, ENDED, Duration::from_millis(10), probe).await?;
    Ok(held.remove()?)
}

/// Waits until a sandbox has ended, and removes what it has left.
pub(super) async fn collect(ledger: &Ledger, id: &str) -> Result<(), SandboxError> {
    match ledger.wait_unlocked(id, ENDED).await? {
        Some(held) => remove(&held.read()?, held).await,
        None => Ok(()),
    }
}

/// Ends a sandbox that outlived its command, and removes it.
pub(super) async fn down(ledger: &Ledger, entry: &Entry) -> Result<(), SandboxError> {
    if is_root_of(entry) {
        let pid = Pid::from_raw(entry.root.cast_signed());
        kill(pid, Signal::SIGKILL).map_err(|e| io("the sandbox could not be ended")(e.into()))?;
    }
    collect(ledger, &entry.id).await
}

/// Whether the process with the recorded number still is that of the cluster, and not a later one with the same number.
fn is_root_of(entry: &Entry) -> bool {
    let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", entry.root));
    entry.root != 0 && cgroups.is_ok_and(|text| text.contains(&format!("/{}", entry.cgroup)))
}
