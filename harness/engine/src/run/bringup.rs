//! The cluster of a run: up before the first step, down after the last.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::{BootContext, Cluster, ClusterRequest, Cni, Ledger};
use guide::NodeImage;
use probe::deploy::Session;
use subject::Capability;
use tokio::task::JoinHandle;

use super::logs;
use super::measure::Window;
use super::observe;
use super::obstruct::Obstruction;
use super::recorder::{Produced, Recorder};
use super::request::Request;
use super::turn::Standing;
use crate::errors;

/// How long may be spent on saving logs before the cluster goes.
const LOGS: Duration = Duration::from_secs(5);

/// What a run has made so far; it outlives the steps, so that an interrupted run can still be reported.
#[derive(Default)]
pub(super) struct State {
    /// How it stands among the other runs of the machine.
    pub(super) standing: Standing,
    pub cluster: Option<Box<dyn Cluster>>,
    pub(super) client: Option<kube::Client>,
    pub session: Option<Session>,
    pub windows: Vec<Window>,
    /// What stood in the way of changes.
    pub obstructions: Vec<Obstruction>,
    /// The change that did not end, where the procedure allows for that.
    pub stuck: Option<Stuck>,
    pub(super) watchers: Vec<JoinHandle<()>>,
}

/// A change of the agents that did not end.
#[derive(Clone, Debug)]
pub(super) struct Stuck {
    /// Name of the step.
    pub step: String,
    /// The last state that was seen.
    pub reason: String,
}

impl Drop for State {
    fn drop(&mut self) {
        self.watchers.iter().for_each(JoinHandle::abort);
    }
}

/// A cluster that is up.
pub(super) struct Booted {
    pub(super) client: kube::Client,
    /// Kubernetes version.
    pub(super) kubernetes: String,
    /// Where the API server is reached without any service translation.
    pub(super) api: (String, u16),
    said: String,
}

impl Produced for Booted {
    fn detail(&self) -> Option<String> {
        Some(self.said.clone())
    }
}

/// Brings the cluster up.
pub(super) async fn boot(
    request: &Request,
    recorder: &Arc<Recorder>,
    ledger: &Ledger,
    (images, archives): (Vec<cluster::Image>, Vec<PathBuf>),
    state: &mut State,
) -> anyhow::Result<Booted> {
    let progress = |message| recorder.progress("cluster", message);
    let (provider, components) = (&request.provider, &request.components);
    let built = provider.prepare(components, &progress).await?;
    if !built.is_zero() {
        progress(format!("components were built in {:.0} s, not counted as boot time", built.as_secs_f64()));
    }
    let started_ns = probe::clock::now_ns();
    let wanted = ClusterRequest {
        id: request.id.clone(),
        nodes: request.nodes,
        cni: Cni::None,
        dual_stack: request.subject.carries().has(Capability::Ipv6),
        keep: request.keep,
        logs: recorder.folder().logs(),
        images,
        archives,
        cpu_weight: state.standing.share(),
        node_image: node_image(request, &progress).map(|node| node.image.clone()),
    };
    let context = BootContext { components, ledger, progress: &progress };
    let cluster = state.cluster.insert(provider.boot(wanted, context).await?);
    let client = cluster.client().await?;
    let nodes = cluster.nodes().len();
    let deadline = Duration::from_secs(60);
    tokio::try_join!(
        cluster::nodes_registered(&client, nodes, deadline),
        cluster::namespace_ready(&client, cluster::dns::NAMESPACE, deadline)
    )?;
    let version = client.apiserver_version().await.context("the API server does not say its version")?;
    let kubernetes = version.git_version;
    let boot_ms = (probe::clock::now_ns() - started_ns) / 1_000_000;
    recorder.with(|run| {
        run.provider.boot_ms = Some(boot_ms as f64);
        run.provider.kubernetes = kubernetes.clone();
        run.provider.nodes = cluster.nodes();
    });
    state.watchers.push(tokio::spawn(observe::memory(cluster.memory_meter(), Arc::clone(recorder))));
    let said = match &request.there {
        Some(there) => format!("{nodes} nodes of context {}", there.access.context),
        None => format!("{nodes} nodes registered in {:.2} s", boot_ms as f64 / 1_000.0),
    };
    Ok(Booted { client, kubernetes, api: cluster.api_inside(), said })
}

/// The node image with a Kubernetes that all versions of a run were tested with, where that is a choice.
fn node_image(request: &Request, progress: &dyn Fn(String)) -> Option<&'static NodeImage> {
    if !request.provider.capabilities().chooses_kubernetes || request.subject.runs_on_any_kubernetes() {
        return None;
    }
    let versions = request.procedure.versions();
    let names: Vec<_> = versions.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    let image = guide::node_image(&versions);
    progress(match image {
        Some(image) => {
            format!(
                "Kubernetes {} is the newest with a node image that {names} were tested with",
                image.kubernetes
            )
        }
        None => format!(
            "no published node image has a Kubernetes that {names} were tested with: the default one is taken, and \
             --kind-image names another"
        ),
    });
    image
}

/// Takes everything down, or releases it when it shall be kept.
pub(super) async fn take_down(
    request: &Request,
    recorder: &Recorder,
    ledger: &Ledger,
    mut state: State,
) -> anyhow::Result<String> {
    state.watchers.iter().for_each(JoinHandle::abort);
    if let Some(session) = state.session.take() {
        session.stop();
    }
    // Logs of a cluster that is not ours are not kept: nobody asked for them.
    if let Some(client) = state.client.take()
        && request.there.is_none()
        && let Err(e) = tokio::time::timeout(
            LOGS,
            logs::save(&client, &request.subject.names().namespace, &recorder.folder().logs()),
        )
        .await
        .unwrap_or_else(|e| Err(e.into()))
    {
        recorder.progress("take down", format!("logs are incomplete: {}", errors::line(&e)));
    }
    match state.cluster.take() {
        None => {
            // Interrupted or failed while it came up: what was started ends by itself.
            request.provider.collect(ledger, &request.id).await?;
            Ok("nothing left".to_owned())
        }
        Some(cluster) if request.keep => {
            let kubeconfig = cluster.kubeconfig();
            cluster.release().await?;
            recorder.progress("take down", format!("kept; seatrial cluster down {}", request.id));
            Ok(format!("kept: export KUBECONFIG={}", kubeconfig.display()))
        }
        Some(cluster) => {
            cluster.destroy().await?;
            Ok("nothing left".to_owned())
        }
    }
}
