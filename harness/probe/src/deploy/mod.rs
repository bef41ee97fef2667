//! Creates the probe pods in a cluster, in two steps, so that policies can be applied before the second.
//!
//! [`Deployment::servers`] creates the namespace, the servers and the Services; [`Servers::clients`] starts the probers,
//! once every address is known, and returns a [`Session`] that collects their samples.

mod addresses;
mod ask;
mod confinement;
#[cfg(test)]
mod footprint;
mod new_pods;
mod objects;
mod outside;
mod session;
mod spare;
mod watch;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use crate::attribution::Observed;
use crate::collect;
use crate::flow::Token;
use crate::node::Changes;
use crate::processors::Looks;
use crate::store::{Store, StoreError};
use crate::traffic::{Part, ProbePod, Traffic};
pub use ask::Asker;
pub use confinement::is_tolerated;
pub use outside::{OutsideHost, Printed};
pub use session::{Delivered, Session};
pub use spare::Spare;
use watch::{Placed, Wanted};

/// Longest time for pods to become ready.
const PODS_UP: Duration = Duration::from_secs(60);

/// The place and the image of the probe pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Namespace to create; it must not exist.
    pub namespace: String,
    /// Run id, a label of every created object.
    pub run_id: String,
    /// Image with `probe-client` and `probe-server` on its PATH.
    pub image: String,
    /// The cluster's DNS.
    pub dns: ServiceName,
    /// The token of the run's datagrams.
    pub token: Token,
    /// How long probers may run from their start, so that they end if the run is killed; `None` in a cluster that is
    /// removed with the run.
    pub lifetime: Option<Duration>,
}

/// A Service, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Why the probe pods cannot be created, or deliver no samples.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The API server refused.
    #[error("cannot {doing} {object}")]
    Api {
        /// What failed.
        doing: &'static str,
        /// The object.
        object: String,
        /// The reason.
        #[source]
        source: Box<kube::Error>,
    },
    /// A wait came to its deadline.
    #[error("{what} not after {} s: {last}", after.as_secs())]
    Deadline {
        /// The condition.
        what: String,
        /// The time waited.
        after: Duration,
        /// The last state seen.
        last: String,
    },
    /// A flow names a pod or a Service that was not created.
    #[error("flow {0} has no server; the traffic plan is wrong")]
    NoServer(String),
    /// A pod that is probed at its IPv6 address has none.
    #[error(
        "pod {0} has no IPv6 address; flows to it need one: nodes, and the network that the subject gives pods, must have \
         addresses of both families"
    )]
    NoIpv6(String),
    /// A Service has no cluster IP.
    #[error("service {0} has no ClusterIP; flows to it need one")]
    NoAddress(String),
    /// A Service has no port on a node.
    #[error("service {service} has no port on node {node}; flows from outside the cluster need one")]
    NoNodePort {
        /// The Service.
        service: ServiceName,
        /// The node.
        node: String,
    },
    /// A flow needs a host outside the cluster, and there is none.
    #[error("{0} must run outside the cluster, where this provider has no host; the traffic plan is wrong")]
    NoOutside(String),
    /// A role does not start on the host outside the cluster.
    #[error("{name} cannot be started outside the cluster")]
    Outside {
        /// Name of the prober or server.
        name: String,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// A pod could not look up a name.
    #[error("pod {pod} cannot look up {name}: {why}")]
    Ask {
        /// The pod.
        pod: String,
        /// The name.
        name: String,
        /// The reason.
        why: String,
    },
    /// The samples cannot be stored.
    #[error("samples cannot be stored")]
    Store(#[from] StoreError),
    /// The processor counters cannot be stored.
    #[error("processor counters cannot be stored next to the samples")]
    Looks(#[source] std::io::Error),
}

/// The first step.
#[derive(Debug)]
pub struct Deployment;

/// Running servers, with their addresses.
pub struct Servers {
    client: Client,
    target: Target,
    traffic: Traffic,
    outside: Option<Arc<dyn OutsideHost>>,
    /// The tasks that follow the servers outside the cluster.
    followers: JoinSet<()>,
}

impl Deployment {
    /// Creates the namespace, the servers and the Services, and waits until every server is ready.
    ///
    /// Traffic that was planned with a host outside the cluster needs that host.
    ///
    /// # Errors
    ///
    /// When an object is refused, or a server is not ready in time; the message has the object and the reason.
    pub async fn servers(
        client: Client,
        target: Target,
        outside: Option<Arc<dyn OutsideHost>>,
        traffic: &Traffic,
    ) -> Result<Servers, DeployError> {
        let traffic = traffic.clone().with_token(target.token);
        let mut servers = Servers { client, target, traffic, outside, followers: JoinSet::new() };
        let namespaces: Api<Namespace> = Api::all(servers.client.clone());
        create(&namespaces, "namespace", &objects::namespace(&servers.target)).await?;
        servers.wait_for_account().await?;
        let services: Api<Service> = servers.api();
        for service in &servers.traffic.services {
            create(&services, "service", &objects::service(&servers.target, service)).await?;
        }
        let slices: Api<EndpointSlice> = servers.api();
        for name in &servers.traffic.names {
            let (service, slice) = objects::outside(&servers.target, name);
            create(&services, "service", &service).await?;
            create(&slices, "endpoint slice", &slice).await?;
        }
        let pods: Api<Pod> = servers.api();
        let (mut wanted, mut placed) = (Vec::new(), Placed::new());
        for pod in servers.traffic.pods.iter().filter(|pod| pod.part.is_server()) {
            if pod.part.is_outside() {
                let host = servers.host_of(pod)?;
                placed.insert(pod.name.clone(), vec![host.address()]);
                let serving = outside::serve(host, pod, servers.target.token).await?;
                servers.followers.spawn(serving);
            } else {
                create(&pods, "pod", &objects::server(&servers.target, pod)).await?;
                wanted.push(pod.name.clone());
            }
        }
        placed.append(&mut watch::pods_up(&pods, &wanted, Wanted::Ready, PODS_UP).await?);
        addresses::fill(&servers.client, &servers.target, &placed, &mut servers.traffic).await?;
        Ok(servers)
    }
}

impl Servers {
    /// Returns the traffic, with the address of every flow filled in.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Starts the probers and the node watchers, and collects samples into `samples_dir` and observations of the nodes'
    /// kernels into `seen`.
    ///
    /// # Errors
    ///
    /// When a pod is refused or does not start in time, or the folder cannot be created.
    pub async fn clients(
        mut self,
        samples_dir: &Path,
        seen: UnboundedSender<Observed>,
    ) -> Result<Session, DeployError> {
        let store = Arc::new(Store::create(samples_dir, self.traffic.flows.iter().cloned())?);
        let looks = Arc::new(Looks::create(samples_dir).map_err(DeployError::Looks)?);
        let mut followers = std::mem::take(&mut self.followers);
        // A new pod needs the longest time until its first answer, so the first ones start together with the probers.
        self.create_new_pods(&store, &mut followers);
        let probers = self.create_probers().await?;
        let watchers = self.create_watchers().await?;
        let started: Vec<_> = probers.iter().chain(watchers.iter().map(|(pod, _)| pod)).cloned().collect();
        let pods: Api<Pod> = self.api();
        watch::pods_up(&pods, &started, Wanted::Started, PODS_UP).await?;
        for prober in probers {
            let (pods, store) = (pods.clone(), Arc::clone(&store));
            followers.spawn(async move {
                collect::follow(pods, prober.clone(), move |line| store.take(&prober, line)).await;
            });
        }
        for (pod, node) in watchers {
            let changes = Changes::new(node, seen.clone(), Arc::clone(&looks));
            followers.spawn(collect::follow(pods.clone(), pod, move |line| changes.take(line)));
        }
        for pod in self.traffic.pods.iter().filter(|pod| pod.part.is_client() && pod.part.is_outside()) {
            let flows: Vec<_> = self.traffic.flows_of(&pod.name).collect();
            let store = Arc::clone(&store);
            followers.spawn(outside::probe(self.host_of(pod)?, pod, &flows, store).await?);
        }
        Ok(Session {
            client: self.client,
            target: self.target,
            traffic: self.traffic,
            store,
            looks,
            followers,
        })
    }

    /// Creates the pods that send probes throughout the measurement; returns their names.
    async fn create_probers(&self) -> Result<Vec<String>, DeployError> {
        let pods: Api<Pod> = self.api();
        let mut created = Vec::new();
        for pod in self.traffic.pods.iter().filter(|pod| pod.part.is_client() && !pod.part.is_outside()) {
            let flows: Vec<_> = self.traffic.flows_of(&pod.name).collect();
            create(&pods, "pod", &objects::client(&self.target, pod, &flows)).await?;
            created.push(pod.name.clone());
        }
        Ok(created)
    }

    /// Creates the node watchers; returns their names and their nodes.
    async fn create_watchers(&self) -> Result<Vec<(String, String)>, DeployError> {
        let pods: Api<Pod> = self.api();
        let mut created = Vec::new();
        for pod in self.traffic.pods.iter().filter(|pod| pod.part == Part::NodeWatch) {
            create(&pods, "pod", &objects::node_watch(&self.target, pod)).await?;
            created.push((pod.name.clone(), pod.node.clone()));
        }
        Ok(created)
    }

    /// Starts to create new pods.
    fn create_new_pods(&self, store: &Arc<Store>, followers: &mut JoinSet<()>) {
        let new_pods = self.traffic.pods.iter().filter(|pod| pod.part == Part::NewPod);
        for (index, flow) in new_pods.flat_map(|pod| self.traffic.flows_of(&pod.name)).enumerate() {
            let creator =
                new_pods::Creator { pods: self.api(), target: self.target.clone(), flow: flow.clone() };
            followers.spawn(new_pods::run(creator, index, Arc::clone(store)));
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.target.namespace)
    }

    /// Returns the host outside the cluster, for a program that must run there.
    fn host_of(&self, planned: &ProbePod) -> Result<&dyn OutsideHost, DeployError> {
        self.outside.as_deref().ok_or_else(|| DeployError::NoOutside(planned.name.clone()))
    }

    /// Pods are refused until their namespace has its default account.
    async fn wait_for_account(&self) -> Result<(), DeployError> {
        let accounts: Api<ServiceAccount> = self.api();
        let what = format!("service account {}/default exists", self.target.namespace);
        watch::until(&what, PODS_UP, async || match accounts.get_opt("default").await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("it does not exist; is the controller manager running?".into()),
            Err(error) => Err(error.to_string()),
        })
        .await
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

async fn create<K>(api: &Api<K>, kind: &'static str, object: &K) -> Result<(), DeployError>
where
    K: kube::Resource + Clone + fmt::Debug + serde::Serialize + DeserializeOwned,
{
    let name = object.meta().name.clone().unwrap_or_default();
    api.create(&PostParams::default(), object).await.map(drop).map_err(|source| DeployError::Api {
        doing: "create",
        object: format!("{kind} {name}"),
        source: Box::new(source),
    })
}
