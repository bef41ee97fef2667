//! The agent of one node.

pub(crate) mod api;
pub(crate) mod cluster;
mod collect;
pub(crate) mod config;
pub(crate) mod crds;
pub(crate) mod endpoint;
mod fault;
mod fqdn;
mod import;
mod lifecycle;
mod metrics;
pub(crate) mod monitor;
pub(crate) mod plan;
mod regenerate;
mod runtime;
pub(crate) mod status;

use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};

use crate::behaviour::Behaviours;
use crate::behaviour::connection_table::UnknownTcp;
use crate::behaviour::conntrack_gc::{Bounds, Collection};
use crate::behaviour::identity_backend::Backend;
use crate::behaviour::runtime_labels::RuntimeLabels;
use crate::chain;
use crate::cni::{self, install::InstallError};
use crate::datapath::conntrack::{self, ConntrackError};
use crate::datapath::netlink::{Netlink, NetlinkError};
use crate::datapath::nft::ToolError;
use crate::datapath::node::{self, NodeError};
use crate::datapath::service_maps::{Pinned, ServiceMapError};
use crate::datapath::table::Table;
use crate::identity::Store;
use crate::identity::crd::{Crd, EndpointObjects};
use crate::identity::kvstore::{Addresses, Kvstore};
use crate::identity::local::Local;
use crate::kubernetes::ClientError;
use crate::proxy::Proxy;
use crate::proxy::dns::Told;
use crate::shim;
use crate::version::{Version, VersionError};
use crate::wait::pause;
use api::{Reply, Request};
use cluster::{Cluster, NodeAddress};
use collect::Figures;
use config::{ConfigError, Settings};
use endpoint::{EndpointError, Endpoints};
use fault::Fault;
use fqdn::KnownNames;
use import::Imports;
use monitor::Monitor;
use regenerate::Programmed;
use runtime::Runtime;
use status::Status;

/// Where endpoints are kept.
pub(crate) const STATE: &str = "/var/run/cilium/state";
const RETRY: Duration = Duration::from_millis(500);

/// The agent cannot run at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// The version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The kernel.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The packet rules.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The connections that an earlier agent tracked.
    #[error(transparent)]
    Conntrack(#[from] ConntrackError),
    /// The services that an earlier agent kept.
    #[error(transparent)]
    Services(#[from] ServiceMapError),
    /// State on disk.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A socket.
    #[error("the agent cannot listen on {what}")]
    Listen {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The API server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The configuration of the CNI plugin.
    #[error(transparent)]
    Cni(#[from] InstallError),
    /// The name of the node.
    #[error("K8S_NODE_NAME is not set; the DaemonSet has to set it to spec.nodeName")]
    Nameless,
}

/// A running agent.
struct Agent {
    node: NodeAddress,
    cluster_name: String,
    masquerade: bool,
    world_is_host: bool,
    unknown_tcp: UnknownTcp,
    bounds: Option<Bounds>,
    client: Client,
    cluster: Cluster,
    store: Store,
    endpoints: Mutex<Endpoints>,
    services: Mutex<Pinned>,
    /// Counts changes; the rules of generation n hold everything that was known at change n.
    wanted: watch::Sender<u64>,
    applied: watch::Sender<u64>,
    status: Arc<Status>,
    proxy: Proxy,
    runtime: Runtime,
    imports: Imports,
    names: KnownNames,
    monitor: Monitor,
    fault: Option<Arc<Fault>>,
}

impl Agent {
    fn endpoints(&self) -> MutexGuard<'_, Endpoints> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a change and returns its number.
    fn changed(&self) -> u64 {
        let mut generation = 0;
        self.wanted.send_modify(|count| {
            *count += 1;
            generation = *count;
        });
        generation
    }
}

/// Runs the agent until it fails.
pub(crate) async fn run(args: Vec<OsString>) -> Result<(), AgentError> {
    let version = Version::from_env()?;
    let behaviours = Behaviours::of(version)?;
    let settings = Settings::load(&args, std::env::vars_os())?;
    let backend = behaviours.backend.select(&settings)?;
    tracing::info!(%version, ?backend, "starting");

    let status = Arc::new(Status::starting());
    let agent: Arc<OnceLock<Arc<Agent>>> = Arc::default();
    listen(status.clone(), agent.clone())?;
    replace_upstream(&status)?;

    let netlink = Netlink::open()?;
    node::prepare(&netlink).await?;
    let table = Table::open().await?;
    let client = crate::kubernetes::client()?;
    let endpoints = restore()?;
    let node = introduce(&client, behaviours, &status).await?;
    let connection_table = behaviours.connection_table;
    conntrack::take_over(connection_table, connection_table.made(&settings)?, node.pods).await?;
    let collection = behaviours.conntrack_gc.on_kernel(connection_table, &settings, &kernel())?;
    let collected = collection.as_ref().map(|_| Arc::<Figures>::default());
    let services = Pinned::take_over(behaviours.service_maps, &settings).await?;
    let wanted = watch::Sender::new(0);
    let cluster = Cluster::follow(&client, &node_name()?, &wanted);
    let fault = Fault::select(&settings, version)?;
    let proxy = start_proxy(fault.as_deref(), behaviours, &settings, collected.clone())?;
    let names = behaviours.names.select(&settings)?;
    let questions = names.proxied.then(|| proxy.listen_to_questions()).transpose();
    let (dns_port, told) =
        questions.map_err(|source| AgentError::Listen { what: "the DNS proxy's port", source })?.unzip();
    let store = start_store(backend, &settings, &client, &status);
    let starting = Arc::new(Agent {
        node,
        cluster_name: settings.get("cluster-name").unwrap_or("default").to_owned(),
        masquerade: settings.enabled("masquerade", true)?,
        world_is_host: behaviours.masqueraded_world.is_host(&settings)?,
        unknown_tcp: connection_table.unknown,
        bounds: collection.as_ref().map(|it| it.bounds),
        client,
        cluster,
        store,
        names: KnownNames::restore(&names, &endpoints, dns_port),
        endpoints: Mutex::new(endpoints),
        services: Mutex::new(services),
        wanted,
        applied: watch::Sender::new(0),
        status,
        proxy,
        runtime: Runtime::new(RuntimeLabels::select(&settings)?),
        monitor: Monitor::resume(&settings)?,
        fault,
        imports: Imports::new(behaviours.prefix_lengths.on_kernel(&settings, &kernel())?, names),
    });
    let programmed = Programmed::unknown(netlink, table);
    serve(starting, &agent, programmed, told, collection.zip(collected)).await
}

/// Serves until the process ends: synchronizes, follows names and policies, and programs the datapath.
async fn serve(
    starting: Arc<Agent>,
    agent: &OnceLock<Arc<Agent>>,
    programmed: Programmed,
    told: Option<mpsc::Receiver<Told>>,
    collection: Option<(Collection, Arc<Figures>)>,
) -> Result<(), AgentError> {
    starting.synchronize().await;
    starting.clone().follow_names(told);
    let (reporting, name) = (starting.clone(), node_name()?);
    tokio::spawn(async move { reporting.keep_reporting_policies(&name).await });
    let ready = || {
        if let Some((collection, collected)) = collection {
            tokio::spawn(collect::keep_collecting(collection, collected));
        }
        starting.become_ready(agent);
    };
    starting.keep_regenerating(programmed, ready).await;
    pending().await
}

impl Agent {
    /// Waits for everything that the first plan depends on: until then the kernel keeps what it has.
    async fn synchronize(self: &Arc<Self>) {
        self.cluster.synced().await;
        self.store.synced().await;
        while let Err(error) = self.adopt().await {
            tracing::warn!(error = chain(&error), "endpoints could not be adopted, retrying");
            self.status.note("agent", Some(chain(&error)));
            pause(RETRY).await;
        }
        let agent = self.clone();
        tokio::spawn(async move { agent.keep_asking_the_runtime().await });
        tokio::spawn(self.clone().keep_monitoring());
        let agent = self.clone();
        let mut view = self.store.view();
        tokio::spawn(async move {
            while view.changed().await.is_ok() {
                agent.changed();
            }
        });
    }

    /// Starts to serve pods; from now on `shown` holds the agent.
    fn become_ready(self: &Arc<Self>, shown: &OnceLock<Arc<Self>>) {
        tokio::spawn(self.clone().fail_for_a_while());
        self.status.note("agent", None);
        tracing::info!(endpoints = self.endpoints().all().len(), "ready");
        shown.get_or_init(|| self.clone());
    }

    /// Finds the identities of the endpoints that an earlier agent left.
    async fn adopt(&self) -> Result<(), lifecycle::LifecycleError> {
        self.refresh(true).await?;
        let held = self.endpoints().all().iter().map(|endpoint| endpoint.ip).collect();
        Ok(self.store.withdraw_stale(self.node.ip, &held).await?)
    }
}

/// Answers on the agent's socket from the start; pods are served once the agent is ready.
fn listen(status: Arc<Status>, agent: Arc<OnceLock<Arc<Agent>>>) -> Result<(), AgentError> {
    let failed = |source| AgentError::Listen { what: api::SOCKET, source };
    let listener = api::listen(Path::new(api::SOCKET)).map_err(failed)?;
    tokio::spawn(api::serve(listener, move |request| {
        let (status, agent) = (status.clone(), agent.clone());
        async move {
            let problem = status.problem();
            match (request, agent.get()) {
                (Request::Status, _) => problem.map_or(Reply::Ok, |reason| Reply::NotReady { reason }),
                (request, Some(agent)) => agent.answer(request).await,
                (_, None) => Reply::NotReady { reason: problem.unwrap_or_else(|| "starting".to_owned()) },
            }
        }
    }));
    Ok(())
}

/// Does what Cilium's own charts expect of Cilium's agent alone.
fn replace_upstream(status: &Arc<Status>) -> Result<(), AgentError> {
    let status = status.clone();
    tokio::spawn(shim::answer_health_checks(move || status.problem().is_none()));
    if shim::writes_cni_conf() {
        cni::install::install_conf()?;
    }
    Ok(())
}

/// Starts the proxy, and the endpoint for its metrics and those of bounded tables.
fn start_proxy(
    fault: Option<&Fault>,
    behaviours: Behaviours,
    settings: &Settings,
    collected: Option<Arc<Figures>>,
) -> Result<Proxy, AgentError> {
    let silent = fault.is_some_and(Fault::silences_proxy);
    let failed = |source| AgentError::Listen { what: "the proxy's port", source };
    let proxy = Proxy::start(silent).map_err(failed)?;
    if let Some(address) = metrics::address(settings)? {
        let (l7, requests) = (behaviours.l7_metrics, proxy.requests());
        tokio::spawn(metrics::serve(address, metrics::Sources { l7, requests, collected }));
    }
    Ok(proxy)
}

fn restore() -> Result<Endpoints, AgentError> {
    let links = node::interfaces()?;
    Ok(Endpoints::restore(Path::new(STATE), |endpoint| links.contains(&endpoint.interface()))?)
}

/// Registers the custom resources and waits until this node has its prefix.
async fn introduce(
    client: &Client,
    behaviours: Behaviours,
    status: &Status,
) -> Result<NodeAddress, AgentError> {
    let name = node_name()?;
    loop {
        let problem = match crds::register(client, behaviours.custom_resources).await {
            Ok(()) => match Api::<Node>::all(client.clone()).get(&name).await {
                Ok(node) => match cluster::node_address(&node) {
                    Some(node) => return Ok(node),
                    None => format!("node {name} has no podCIDR yet; the controller manager gives it"),
                },
                Err(error) => chain(&error),
            },
            Err(error) => chain(&error),
        };
        tracing::warn!(problem, "the API server is not available, retrying");
        status.note("agent", Some(problem));
        pause(RETRY).await;
    }
}

fn start_store(backend: Backend, settings: &Settings, client: &Client, status: &Arc<Status>) -> Store {
    match backend {
        Backend::Kvstore => {
            let kvstore = Kvstore::start(settings.etcd_config(), status.clone());
            Store::Kvstore(kvstore, EndpointObjects::new(client))
        }
        Backend::Crd => {
            let kvstore = settings.get("kvstore").filter(|kind| !kind.is_empty());
            let addresses = kvstore.map(|_| Addresses::new(settings.etcd_config()));
            Store::Crd(Crd::start(client), addresses)
        }
        Backend::NodeLocal => {
            tracing::warn!("kvstore is not set: identities of this node are not shared with other nodes");
            Store::Local(Local::new())
        }
    }
}

/// The version of the kernel that runs.
fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn node_name() -> Result<String, AgentError> {
    std::env::var("K8S_NODE_NAME").map_err(|_| AgentError::Nameless)
}
