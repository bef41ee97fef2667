//! The host side of a sandbox: boots it, talks to it, takes it down.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};

use super::spec::{CONTROL_PLANE, Cni, NodeReply, NodeRequest, NodeSpec, Pki, Report, Spec};
use super::weight::Share;
use super::{Role, cgroup, fds, node_config, outside};
use crate::components::{Component, ComponentError, Components};
use crate::images::{Image, ImageError, write_archive};
use crate::ledger::{Entry, Held, Ledger, LedgerError, cgroup_name, write_private};
use crate::outside::Outside;
use crate::pki::{Authority, Identity, PkiError};
use crate::spawn::this_program;
use crate::wait;

/// What a sandbox shall be.
#[derive(Clone, Debug)]
pub struct SandboxRequest {
    /// Cluster id, also part of names of everything that it makes.
    pub id: String,
    /// Number of nodes, 1 to 5.
    pub nodes: u8,
    /// Who gives pods their network.
    pub cni: Cni,
    /// Whether nodes, pods and Services have IPv6 addresses beside those of IPv4.
    pub dual_stack: bool,
    /// Port of the API on the host's loopback; 0 for any.
    pub api_port: u16,
    /// Whether it shall outlive this process once it is up.
    pub keep: bool,
    /// A folder for the logs of all components; it is made where there is none.
    pub logs: PathBuf,
    /// Images to load into every node; the first is the pause image.
    pub images: Vec<Image>,
    /// Archives of further images, OCI's or Docker's, loaded into each node.
    pub archives: Vec<PathBuf>,
    /// What it gets of the processors.
    pub share: Share,
}

/// A sandbox could not be brought up, used or taken down.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A component is missing.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// An image could not be written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The API's port is in use.
    #[error(
        "port {port} of 127.0.0.1 cannot be had; choose another with --api-port, or leave it out for any"
    )]
    Port {
        /// The port that was asked for.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificates could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file or process could not be had.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something inside said that it cannot go on.
    #[error("the sandbox did not come up: {message}; logs are in {}", logs.display())]
    Inside {
        /// Its words.
        message: String,
        /// Where the logs of the components are.
        logs: PathBuf,
    },
    /// It is still there.
    #[error(transparent)]
    Timeout(#[from] wait::Timeout),
    /// The number of nodes is out of range.
    #[error("a sandbox has 1 to 5 nodes, not {0}; change --nodes")]
    Nodes(u8),
}

pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> SandboxError {
    let what = what.into();
    move |source| SandboxError::Io { what, source }
}

/// A running sandbox. Ends with this process, however that ends, unless it was released.
#[derive(Debug)]
pub struct Sandbox {
    entry: Entry,
    held: Held,
    outer: Child,
    control: ChildStdin,
}

/// What was done in a node's namespaces.
#[derive(Clone, Debug)]
pub struct Executed {
    /// CLOCK_MONOTONIC right before it was begun, nanoseconds.
    pub started_ns: i64,
    /// CLOCK_MONOTONIC right after it ended, nanoseconds.
    pub ended_ns: i64,
    /// What it printed.
    pub output: String,
}

impl Sandbox {
    /// Boots a cluster; returns when its API answers and its nodes are starting.
    ///
    /// When it fails, or when the future is dropped, nothing goes on running; [`collect`] removes the rest.
    ///
    /// # Errors
    /// When a component is missing, the port is taken, or something inside does not start.
    pub async fn boot(
        request: SandboxRequest,
        components: &Components,
        ledger: &Ledger,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<Self, SandboxError> {
        if !(1..=5).contains(&request.nodes) {
            return Err(SandboxError::Nodes(request.nodes));
        }
        let mut programs = BTreeMap::new();
        for component in Component::CLUSTER {
            programs.insert(component.name().to_owned(), components.resolve(component, progress).await?);
        }
        let mut entry = Entry {
            id: request.id.clone(),
            created: jiff::Timestamp::now().to_string(),
            provider: "sandbox".to_owned(),
            nodes: u32::from(request.nodes),
            owner: std::process::id(),
            root: 0,
            cgroup: cgroup_name(&request.id),
            api: String::new(),
            kept: request.keep,
            access: None,
        };
        let held = ledger.enter(&entry)?;
        let port = request.api_port;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|source| SandboxError::Port { port, source })?;
        entry.api = listener.local_addr().map_err(io("the API's address"))?.to_string();
        let spec = prepare(&request, programs, &held, &entry)?;
        let lock = held.share_lock().map_err(io("the ledger's lock"))?;
        cgroup::make(&entry.cgroup).map_err(io("the cluster's cgroup could not be made"))?;
        request.share.belongs_to(&entry.cgroup)?;
        let (outer, control) = spawn(&entry.cgroup, listener.into(), lock, &request.logs)?;
        entry.root = outer.id().unwrap_or_default();
        held.write(&entry)?;
        let mut sandbox = Self { entry, held, outer, control };
        match sandbox.until_up(&spec, progress).await {
            Ok(()) => Ok(sandbox),
            Err(message) => {
                sandbox.destroy().await?;
                Err(SandboxError::Inside { message, logs: request.logs })
            }
        }
    }

    async fn until_up(&mut self, spec: &Spec, progress: &(dyn Fn(String) + Sync)) -> Result<(), String> {
        let text = serde_json::to_string(spec).map_err(|e| e.to_string())?;
        let Some(stdout) = self.outer.stdout.take() else { unreachable!("it was asked for") };
        let mut reports = BufReader::new(stdout).lines();
        if let Err(e) = self.control.write_all(format!("{text}\n").as_bytes()).await {
            tracing::debug!(error = %e, "the sandbox ended before it read what it shall be; it says why below");
        }
        while let Ok(Some(line)) = reports.next_line().await {
            match serde_json::from_str(&line).map_err(|e| format!("unreadable report `{line}`: {e}"))? {
                Report::Entered => {}
                Report::Progress { message } => progress(message),
                Report::Up => return Ok(()),
                Report::Failed { message } => return Err(message),
            }
        }
        Err("it ended without a word".to_owned())
    }

    /// Cluster id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    /// The ledger's entry.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The kubeconfig of its administrator, readable by this user only.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.held.folder().join("kubeconfig")
    }

    /// Names of its nodes.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        node_names(self.entry.nodes as u8)
    }

    /// The host outside of the cluster.
    #[must_use]
    pub fn outside(&self) -> Outside {
        Outside::new(self.held.folder(), outside::ADDRESS.into())
    }

    /// Returns a function that tells the memory that its processes and its tmpfs hold now, bytes.
    pub fn memory_meter(&self) -> impl Fn() -> Option<u64> + Send + use<> {
        let cgroup = self.entry.cgroup.clone();
        move || cgroup::memory(&cgroup)
    }

    /// Lets it outlive this process; it is then removed by [`down`].
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn release(mut self) -> Result<(), SandboxError> {
        self.control.write_all(b"release\n").await.map_err(io("the sandbox could not be released"))
    }

    /// Takes it down: when this returns nothing of it runs, is mounted, or is left on disk.
    ///
    /// # Errors
    /// When something is still there after the deadline; `seatrial gc` tries again.
    pub async fn destroy(self) -> Result<(), SandboxError> {
        let Self { entry, held, mut outer, control } = self;
        drop(control);
        outer.wait().await.map_err(io("the sandbox could not be waited for"))?;
        remove(&entry, held).await
    }
}

fn node_names(nodes: u8) -> Vec<String> {
    (1..=nodes).map(|i| format!("node{i}")).collect()
}

/// Writes what the sandbox needs on disk and describes the rest.
fn prepare(
    request: &SandboxRequest,
    programs: BTreeMap<String, PathBuf>,
    held: &Held,
    entry: &Entry,
) -> Result<Spec, SandboxError> {
    let images = held.folder().join("images.tar");
    write_archive(&images, &request.images)?;
    let authority = Authority::new("seatrial")?;
    let admin = authority.client("admin", Some("system:masters"))?;
    let server = format!("https://{}", entry.api);
    let kubeconfig =
        crate::pki::kubeconfig(&format!("seatrial-{}", entry.id), &server, &authority.cert, &admin);
    let path = held.folder().join("kubeconfig");
    write_private(&path, kubeconfig.as_bytes()).map_err(io("the kubeconfig could not be written"))?;
    let nodes = (1..)
        .zip(node_names(request.nodes))
        .map(|(index, name)| {
            let address = node_config::address(index);
            let ipv6 = request.dual_stack.then(|| node_config::ipv6_address(index));
            Ok(NodeSpec {
                client: authority.client(&format!("system:node:{name}"), Some("system:nodes"))?,
                server: authority.server(&name, &[&address, &name])?,
                name,
                address,
                ipv6,
            })
        })
        .collect::<Result<_, PkiError>>()?;
    Ok(Spec {
        id: entry.id.clone(),
        cgroup: entry.cgroup.clone(),
        folder: held.folder().to_owned(),
        logs: request.logs.clone(),
        programs,
        images: std::iter::once(images).chain(request.archives.iter().cloned()).collect(),
        pause_image: request.images.first().map(|i| i.reference.clone()).unwrap_or_default(),
        cni: request.cni,
        dual_stack: request.dual_stack,
        pki: pki(&authority)?,
        nodes,
    })
}

fn pki(authority: &Authority) -> Result<Pki, PkiError> {
    let names =
        [CONTROL_PLANE, "10.96.0.1", "127.0.0.1", "localhost", "kubernetes.default.svc", "kubernetes"];
    let masters =
        |user: &str| -> Result<Identity, PkiError> { authority.client(user, Some("system:masters")) };
    Ok(Pki {
        ca: authority.cert.clone(),
        api_server: authority.server("kube-apiserver", &names)?,
        kubelet_client: masters("kube-apiserver-kubelet-client")?,
        controllers: masters("seatrial-controllers")?,
        tokens: crate::pki::token_key()?,
    })
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
    let Some(control) = outer.stdin.take() else { unreachable!("it was asked for") };
    Ok((outer, control))
}

/// Runs a command in the namespaces of a node, as root; `folder` is the cluster's own in the ledger.
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
    ask(folder, node, &request).await.map_err(io(what))
}

/// Puts the rules of an existing nftables table (family inet) of a node out of force, or in force again, at
/// a moment known to tens of microseconds.
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
    ask(folder, node, &request).await.map_err(io(what))
}

async fn ask(folder: &Path, node: &str, request: &NodeRequest) -> std::io::Result<Executed> {
    let mut stream = UnixStream::connect(folder.join(format!("{node}.sock"))).await?;
    stream.write_all(&serde_json::to_vec(request)?).await?;
    stream.shutdown().await?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await?;
    let NodeReply { started_ns, ended_ns, result } = serde_json::from_slice(&text)?;
    let output = result.map_err(std::io::Error::other)?;
    Ok(Executed { started_ns, ended_ns, output })
}

/// Removes what a cluster that runs no more has left: its cgroup, then its folder.
async fn remove(entry: &Entry, held: Held) -> Result<(), SandboxError> {
    let name = entry.cgroup.as_str();
    let probe = async || match cgroup::remove(name) {
        Ok(true) => Ok(()),
        Ok(false) => Err("processes are still in it".to_owned()),
        Err(e) => Err(e.to_string()),
    };
    let condition = format!("the cgroup {name} to be empty");
    wait::until(&condition, Duration::from_secs(20), Duration::from_millis(10), probe).await?;
    Ok(held.remove()?)
}

/// Removes a cluster whose processes have ended, or are ending; waits until they have.
///
/// # Errors
/// When it is alive after the deadline, or cannot be removed.
pub async fn collect(ledger: &Ledger, id: &str) -> Result<(), SandboxError> {
    let held = ledger.wait_dead(id, Duration::from_secs(20)).await?;
    match held {
        Some(held) => remove(&held.read()?, held).await,
        None => Ok(()),
    }
}

/// Ends a cluster that outlived its command, and removes it.
///
/// # Errors
/// When it does not end.
pub async fn down(ledger: &Ledger, entry: &Entry) -> Result<(), SandboxError> {
    if is_root_of(entry) {
        let pid = Pid::from_raw(entry.root.cast_signed());
        kill(pid, Signal::SIGKILL).map_err(|e| io("the sandbox could not be ended")(e.into()))?;
    }
    collect(ledger, &entry.id).await
}

/// Whether the process with the recorded number still is the cluster's, and not a later one with the same number.
fn is_root_of(entry: &Entry) -> bool {
    let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", entry.root));
    entry.root != 0 && cgroups.is_ok_and(|text| text.contains(&format!("/{}", entry.cgroup)))
}
