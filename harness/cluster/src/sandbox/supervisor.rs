//! Starts the cluster inside the sandbox: the control plane, the nodes, and the forwarding of API connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::fds::{self, Handed};
use super::node::NodeProcess;
use super::outside;
use super::report::{progress, send, watch};
use super::spec::{
    API_PORT, CONTROL_PLANE, CONTROL_PLANE_IPV6, POD_CIDR, POD_CIDR_IPV6, Pki, Report, SERVICE_CIDR,
    SERVICE_CIDR_IPV6, Spec,
};
use crate::spawn::{Daemon, Log, Run};
use crate::{accept, private_file, wait};

const PKI: &str = "/run/seatrial/pki";
/// The kubeconfig of the controllers, in that folder.
const CONTROLLERS: &str = "controllers.kubeconfig";

/// Runs the sandbox until the host side closes the control pipe; after a release, until it is killed.
pub(super) fn supervisor() -> std::io::Result<ExitCode> {
    let handed = fds::take()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut control = BufReader::new(tokio::io::stdin()).lines();
        let Some(line) = control.next_line().await? else { return Ok(ExitCode::FAILURE) };
        let spec: Spec = serde_json::from_str(&line)?;
        let (failures, failed) = mpsc::channel(8);
        let released = tokio::select! {
            ended = boot(&spec, handed, failures) => match ended {
                Ok(never) => match never {},
                Err(message) => {
                    send(&Report::Failed { message });
                    false
                }
            },
            released = host_gone(&mut control) => released,
            message = first_failure(failed) => {
                send(&Report::Failed { message });
                false
            }
        };
        debug_assert!(!released, "a released sandbox ends by being killed");
        Ok(ExitCode::SUCCESS)
    })
}

/// Returns when the host side has ended; never after it has sent `release`.
async fn host_gone(control: &mut Lines<BufReader<Stdin>>) -> bool {
    while let Ok(Some(line)) = control.next_line().await {
        if line == "release" {
            return std::future::pending().await;
        }
    }
    false
}

async fn first_failure(mut failed: mpsc::Receiver<String>) -> String {
    match failed.recv().await {
        Some(message) => message,
        None => std::future::pending().await,
    }
}

/// Starts everything, and then forwards API connections for ever.
async fn boot(spec: &Spec, handed: Handed, failures: mpsc::Sender<String>) -> Result<Infallible, String> {
    network(spec.dual_stack).await?;
    write_pki(&spec.pki).map_err(|e| format!("the certificates could not be written: {e}"))?;
    let nodes = async {
        let starts =
            (1..).zip(&spec.nodes).map(|(index, node)| NodeProcess::start(spec, node, index, &failures));
        futures_util::future::try_join_all(starts).await
    };
    let outside = outside::start(spec, &failures);
    let (mut nodes, (), ()) = tokio::try_join!(nodes, api_server(spec, &failures), outside)?;
    for node in &mut nodes {
        node.api_is_up().await?;
    }
    controllers(spec, &failures).await?;
    send(&Report::Up);
    forward(handed.listener).await.map_err(|e| format!("the listener of the API failed: {e}"))
}

async fn network(dual_stack: bool) -> Result<(), String> {
    let ipv6 =
        if dual_stack { format!("addr add {CONTROL_PLANE_IPV6}/64 dev br0 nodad\n") } else { String::new() };
    let batch = format!(
        "link set lo up\nlink add br0 type bridge\naddr add {CONTROL_PLANE}/24 dev br0\n{ipv6}link set br0 up\n"
    );
    Run::new("ip").args(["-batch", "-"]).stdin(batch).output().await.map_err(|e| e.to_string())?;
    Ok(())
}

fn write_pki(pki: &Pki) -> std::io::Result<()> {
    std::fs::create_dir_all(PKI)?;
    let files = [
        ("ca.crt", &pki.ca),
        ("apiserver.crt", &pki.api_server.cert),
        ("apiserver.key", &pki.api_server.key),
        ("kubelet-client.crt", &pki.kubelet_client.cert),
        ("kubelet-client.key", &pki.kubelet_client.key),
        ("token.key", &pki.tokens.key),
        ("token.pub", &pki.tokens.cert),
    ];
    for (name, text) in files {
        private_file::write(&Path::new(PKI).join(name), text.as_bytes())?;
    }
    let server = format!("https://127.0.0.1:{API_PORT}");
    let config = crate::pki::kubeconfig("sandbox", &server, &pki.ca, &pki.controllers);
    private_file::write(&Path::new(PKI).join(CONTROLLERS), config.as_bytes())
}

async fn api_server(spec: &Spec, failures: &mpsc::Sender<String>) -> Result<(), String> {
    start(spec, "etcd", etcd_args(), failures)?;
    listening("etcd", ([127, 0, 0, 1], 2379).into()).await?;
    start(spec, "kube-apiserver", api_server_args(spec), failures)?;
    listening("kube-apiserver", ([127, 0, 0, 1], API_PORT).into()).await?;
    progress("the API server listens");
    Ok(())
}

/// Starts the scheduler and the controllers once the API server has created its own objects.
///
/// If they start earlier, they compete with it for the processors, find it unhealthy, and retry only after a second.
async fn controllers(spec: &Spec, failures: &mpsc::Sender<String>) -> Result<(), String> {
    let config = Path::new(PKI).join(CONTROLLERS);
    healthy(&config).await?;
    progress("the API server is healthy");
    let config = config.display();
    let common = |more: &[&str]| {
        let mut args = vec![
            format!("--kubeconfig={config}"),
            format!("--authentication-kubeconfig={config}"),
            format!("--authorization-kubeconfig={config}"),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
        ];
        args.extend(more.iter().map(|&a| a.to_owned()));
        args
    };
    start(spec, "kube-scheduler", common(&[]), failures)?;
    let controller_manager = common(&[
        "--allocate-node-cidrs=true",
        &format!("--cluster-cidr={}", ranges(spec, POD_CIDR, POD_CIDR_IPV6)),
        &format!("--service-account-private-key-file={PKI}/token.key"),
        &format!("--root-ca-file={PKI}/ca.crt"),
        "--use-service-account-credentials=false",
    ]);
    start(spec, "kube-controller-manager", controller_manager, failures)
}

fn etcd_args() -> Vec<String> {
    let client = "http://127.0.0.1:2379";
    [
        "--data-dir=/run/seatrial/etcd".to_owned(),
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--log-level=warn".to_owned(),
    ]
    .into()
}

/// The range of one family, or those of both.
fn ranges(spec: &Spec, ipv4: &str, ipv6: &str) -> String {
    if spec.dual_stack { format!("{ipv4},{ipv6}") } else { ipv4.to_owned() }
}

fn api_server_args(spec: &Spec) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={PKI}/{name}");
    vec![
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!("--advertise-address={CONTROL_PLANE}"),
        format!("--secure-port={API_PORT}"),
        format!("--service-cluster-ip-range={}", ranges(spec, SERVICE_CIDR, SERVICE_CIDR_IPV6)),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--anonymous-auth=false".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
        // Without it, logs and exec look up the name of the node in DNS and fail.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        file("client-ca-file", "ca.crt"),
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
        file("kubelet-certificate-authority", "ca.crt"),
        file("kubelet-client-certificate", "kubelet-client.crt"),
        file("kubelet-client-key", "kubelet-client.key"),
        file("service-account-key-file", "token.pub"),
        file("service-account-signing-key-file", "token.key"),
    ]
}

/// Starts a component, and reports a failure when it ends.
fn start(spec: &Spec, name: &str, args: Vec<String>, failures: &mpsc::Sender<String>) -> Result<(), String> {
    let program = spec.programs.get(name).ok_or_else(|| format!("the program {name} is missing"))?;
    let log = spec.logs.join(format!("{name}.log"));
    let log = Log::create(log).map_err(|e| format!("the log of {name} could not be opened: {e}"))?;
    let daemon = Daemon::start(name, program, &args, &log).map_err(|e| e.to_string())?;
    watch(daemon, failures.clone());
    Ok(())
}

async fn listening(what: &str, address: SocketAddr) -> Result<(), String> {
    let probe = async || TcpStream::connect(address).await.map(drop).map_err(|e| e.to_string());
    let condition = format!("{what} to listen on {address}");
    wait::until(&condition, Duration::from_secs(60), Duration::from_millis(5), probe)
        .await
        .map_err(|e| e.to_string())
}

async fn healthy(kubeconfig: &Path) -> Result<(), String> {
    let client = crate::client::client(kubeconfig).await.map_err(|e| e.to_string())?;
    let probe = async || {
        let request = http::Request::get("/healthz").body(Vec::new()).map_err(|e| e.to_string())?;
        client.request_text(request).await.map(drop).map_err(|e| e.to_string())
    };
    wait::until("the API server to be healthy", Duration::from_secs(60), Duration::from_millis(20), probe)
        .await
        .map_err(|e| e.to_string())
}

/// Forwards connections from the host's loopback to the API server.
async fn forward(listener: std::net::TcpListener) -> std::io::Result<Infallible> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (mut outside, _) = accept::next(|| listener.accept()).await;
        tokio::spawn(async move {
            let mut inside = TcpStream::connect(("127.0.0.1", API_PORT)).await?;
            outside.set_nodelay(true)?;
            inside.set_nodelay(true)?;
            tokio::io::copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}
