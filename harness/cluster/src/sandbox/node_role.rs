//! A node from the inside: its own network and mounts, containerd and kubelet.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::mounts::{bind, file_system, folder, propagation, write};
use super::report::{progress, send, watch};
use super::spec::{CONTROL_PLANE, CONTROL_PLANE_IPV6, NodeReply, NodeRequest, NodeStart, Report};
use super::{cgroup, netfilter, node_config};
use crate::request::Cni;
use crate::spawn::{Daemon, Log, Run};
use crate::{accept, clock, private_file, wait};

/// Weight of a node relative to a thread of the control plane, eighths.
pub(super) const NODE_WEIGHT: u32 = 8 * 8;
/// The cgroup in which containerd puts its containers.
const PODS: &str = "k8s.io";
/// Weight of the pods of a node relative to a thread of its containerd and its kubelet, eighths.
const PODS_WEIGHT: u32 = 100 * 8;

/// How long the import of an archive of images may take.
const IMPORT: Duration = Duration::from_secs(20 * 60);
/// How long a command of the host side may run: a measurement takes hours.
const EXEC: Duration = Duration::from_secs(24 * 3_600);

/// The process of a node; single-threaded until it has entered its namespaces.
pub(super) fn node(name: &str) -> std::io::Result<ExitCode> {
    cgroup::enter(name)?;
    cgroup::enter_namespace(name)?;
    cgroup::weigh(name, NODE_WEIGHT)?;
    cgroup::weigh(&format!("{name}/{PODS}"), PODS_WEIGHT)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
    nix::unistd::sethostname(name)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        send(&Report::Entered);
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let Some(line) = lines.next_line().await? else { return Ok(ExitCode::FAILURE) };
        let start: NodeStart = serde_json::from_str(&line)?;
        let api = async {
            // The supervisor closes its end of the pipe only when the whole sandbox ends.
            match lines.next_line().await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => std::future::pending().await,
            }
        };
        let message = match run(&start, api).await {
            Ok(ended) => ended,
            Err(e) => e.to_string(),
        };
        send(&Report::Failed { message });
        Ok(ExitCode::FAILURE)
    })
}

type Failure = Box<dyn std::error::Error>;

/// Starts the node; returns only when one of its programs has ended.
async fn run(start: &NodeStart, api: impl Future<Output = ()>) -> Result<String, Failure> {
    let log = |program: &str| Log::create(start.logs.join(format!("{}-{program}.log", start.node.name)));
    // Opened before the mounts below hide their folder.
    let (containerd_log, kubelet_log) = (log("containerd")?, log("kubelet")?);
    let socket = UnixListener::bind(&start.socket)?;
    mounts()?;
    network(start).await?;
    files(start)?;
    tokio::spawn(serve(socket));

    let (failures, mut failed) = mpsc::channel(2);
    let containerd = node_config::CONTAINERD_CONFIG;
    let args = ["--config".to_owned(), containerd.to_owned()];
    watch(Daemon::start("containerd", Path::new("containerd"), &args, &containerd_log)?, failures.clone());
    let images = async {
        containerd_is_up().await?;
        for archive in &start.images {
            import(archive).await?;
        }
        progress("containerd is up, images are loaded");
        Ok::<_, Failure>(())
    };
    tokio::try_join!(images, async {
        api.await;
        Ok(())
    })?;
    let kubelet = start.programs.get("kubelet").ok_or("the program kubelet is missing")?;
    watch(
        Daemon::start("kubelet", kubelet, &node_config::kubelet_args(&start.node), &kubelet_log)?,
        failures,
    );
    failed.recv().await.ok_or_else(|| "no program is watched".into())
}

/// Loads an archive of images into the containerd of this node.
async fn import(archive: &Path) -> Result<(), Failure> {
    let archive = archive.to_string_lossy();
    let import = ["-n", "k8s.io", "images", "import", &archive];
    Run::new("ctr").args(import).within(IMPORT).output().await?;
    Ok(())
}

async fn containerd_is_up() -> Result<(), Failure> {
    let probe = async || {
        let socket = UnixStream::connect(node_config::CONTAINERD_SOCKET).await;
        socket.map(drop).map_err(|e| e.to_string())
    };
    let deadline = Duration::from_secs(30);
    Ok(wait::until("containerd to listen", deadline, Duration::from_millis(5), probe).await?)
}

/// Gives the node its own `/run`, `/etc`, `/opt`, `/var`, `/sys` and BPF file system; everything else is that of the host.
fn mounts() -> std::io::Result<()> {
    propagation(MsFlags::MS_PRIVATE)?;
    file_system("tmpfs", Path::new("/run"), "mode=755")?;
    for name in ["etc", "opt", "var"] {
        let own = Path::new("/run/seatrial/overlay").join(name);
        let (upper, work) = (own.join("upper"), own.join("work"));
        folder(&upper)?;
        folder(&work)?;
        let data = format!("lowerdir=/{name},upperdir={},workdir={}", upper.display(), work.display());
        file_system("overlay", &Path::new("/").join(name), &data)?;
    }
    cgroup::remount()?;
    file_system("bpf", Path::new("/sys/fs/bpf"), "")?;
    guard_kernel_settings()?;
    // Volumes with mount propagation need a shared peer group of this namespace.
    propagation(MsFlags::MS_SHARED)
}

/// Shows the kubelet the kernel settings that it requires, so that it does not change those of the host.
fn guard_kernel_settings() -> std::io::Result<()> {
    let settings = [
        ("vm/overcommit_memory", "1"),
        ("vm/panic_on_oom", "0"),
        ("kernel/panic", "10"),
        ("kernel/panic_on_oops", "1"),
        ("kernel/keys/root_maxkeys", "1000000"),
        ("kernel/keys/root_maxbytes", "25000000"),
    ];
    let shown = Path::new("/run/seatrial/sysctl");
    folder(shown)?;
    for (key, value) in settings {
        let target = Path::new("/proc/sys").join(key);
        if target.exists() {
            let file = shown.join(key.replace('/', "."));
            write(&file, &format!("{value}\n"))?;
            bind(&file, &target)?;
        }
    }
    Ok(())
}

async fn network(start: &NodeStart) -> Result<(), Failure> {
    use std::fmt::Write as _;
    let mut batch = format!(
        "link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\nroute add default via {CONTROL_PLANE}\n",
        start.node.address
    );
    if let Some(ipv6) = &start.node.ipv6 {
        // The address is unique: duplicate detection would only take a second.
        writeln!(batch, "addr add {ipv6}/64 dev eth0 nodad\nroute add default via {CONTROL_PLANE_IPV6}")?;
    }
    if start.cni == Cni::Bridge {
        for other in (1..=5).filter(|&i| i != start.index) {
            let ([pods, pods_ipv6], via) = (node_config::bridge_subnets(other), node_config::address(other));
            writeln!(batch, "route add {pods} via {via}")?;
            if start.node.ipv6.is_some() {
                writeln!(batch, "route add {pods_ipv6} via {}", node_config::ipv6_address(other))?;
            }
        }
    }
    Run::new("ip").args(["-batch", "-"]).stdin(batch).output().await?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    if start.node.ipv6.is_some() {
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

fn files(start: &NodeStart) -> std::io::Result<()> {
    for (path, text) in node_config::files(start) {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        private_file::write(&path, text.as_bytes())?;
    }
    // The plugins that every runtime needs (loopback); the subject installs its own into the same folder.
    std::fs::create_dir_all("/opt/cni/bin")?;
    for plugin in std::fs::read_dir("/usr/lib/cni")? {
        let plugin = plugin?;
        let link = Path::new("/opt/cni/bin").join(plugin.file_name());
        if !link.exists() {
            std::os::unix::fs::symlink(plugin.path(), link)?;
        }
    }
    Ok(())
}

/// Serves requests of the host side in the namespaces of the node, one per connection.
async fn serve(socket: UnixListener) {
    loop {
        let (stream, _) = accept::next(|| socket.accept()).await;
        tokio::spawn(respond(stream));
    }
}

async fn respond(mut stream: UnixStream) -> std::io::Result<()> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let request: NodeRequest = serde_json::from_str(&text)?;
    let started_ns = clock::monotonic_ns();
    let result = match request {
        NodeRequest::Exec { argv, stdin } => exec(&argv, stdin).await,
        NodeRequest::SetDormant { table, dormant } => {
            netfilter::set_dormant(&table, dormant).map(|()| String::new()).map_err(|e| e.to_string())
        }
    };
    let reply = NodeReply { started_ns, ended_ns: clock::monotonic_ns(), result };
    stream.write_all(&serde_json::to_vec(&reply)?).await
}

async fn exec(argv: &[String], stdin: Option<String>) -> Result<String, String> {
    let (program, args) = argv.split_first().ok_or("an empty command")?;
    let mut run = Run::new(program).args(args).within(EXEC);
    if let Some(stdin) = stdin {
        run = run.stdin(stdin);
    }
    run.output().await.map_err(|e| e.to_string())
}
