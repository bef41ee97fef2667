//! Disturbances of a known cause: they show whether the cause of an outage is attributed correctly.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use cluster::NodeShell;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use subject::Installation;

use super::{Done, Planner, Step, StepAction, StepContext, Unplannable};

/// The Service that loses its backends.
const SERVICE: &str = "server-2";
/// The prober that is stopped.
const PROBER: &str = "client-1";
/// How long what can be undone stays done.
const LENGTH: Duration = Duration::from_millis(300);
/// How long a program is stopped.
const STOPPED: Duration = Duration::from_millis(1_500);
/// How long the endpoints of a Service may take to follow it.
const FOLLOWED: Duration = Duration::from_secs(10);
/// How long a killed agent may take to come back: the kubelet waits longer each time that it ends early.
const BACK: Duration = Duration::from_secs(300);

/// A disturbance of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inject {
    /// What is done.
    pub cause: Cause,
    /// Name of the node.
    pub node: String,
}

impl StepAction for Inject {
    fn plan(&self, _: &mut Planner) -> Result<(), Unplannable> {
        unreachable!("no scenario file has it")
    }

    async fn run(&self, _: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let (client, shell) = (&context.client, context.shell.as_deref());
        let disturbed = Disturbed { client, subject: &context.subject, namespace: &context.namespace, shell };
        disturbed.inject(self.cause, &self.node).await?;
        Ok(Done::silent())
    }

    fn suits_existing_clusters(&self) -> bool {
        false
    }
}

/// What is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The agent of a node, and the proxy in its process, are killed; its container starts again.
    AgentKilled,
    /// The connection table of a node is flushed.
    ConnectionsFlushed,
    /// All policies are without rules for a while.
    PolicyEmptied,
    /// A Service selects no server for a while.
    BackendsRemoved,
    /// The link of a node is down for a while.
    LinkDown,
    /// The kubelet of a node is stopped for a while: no traffic may feel it.
    KubeletStopped,
    /// The prober is stopped for a while: nothing may be held against the network.
    ProberStopped,
}

impl Cause {
    /// Every cause, in the order in which calibration takes them.
    pub const ALL: [Self; 7] = [
        Self::AgentKilled,
        Self::ConnectionsFlushed,
        Self::PolicyEmptied,
        Self::BackendsRemoved,
        Self::LinkDown,
        Self::KubeletStopped,
        Self::ProberStopped,
    ];

    /// Roles of the events that name it; none when nothing may be lost.
    pub fn roles(self) -> &'static [&'static str] {
        match self {
            Self::AgentKilled => &["agent"],
            Self::ConnectionsFlushed => &["conntrack"],
            Self::PolicyEmptied => &["policy"],
            Self::BackendsRemoved => &["service", "endpoints"],
            Self::LinkDown => &["link"],
            Self::KubeletStopped | Self::ProberStopped => &[],
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AgentKilled => "agent killed",
            Self::ConnectionsFlushed => "connections flushed",
            Self::PolicyEmptied => "policy emptied",
            Self::BackendsRemoved => "backends removed",
            Self::LinkDown => "link down",
            Self::KubeletStopped => "kubelet stopped",
            Self::ProberStopped => "prober stopped",
        })
    }
}

/// A cluster that is disturbed.
struct Disturbed<'a> {
    client: &'a kube::Client,
    /// The subject.
    subject: &'a Installation,
    /// Namespace of the probes.
    namespace: &'a str,
    /// Runs commands on the nodes, where the provider can.
    shell: Option<&'a dyn NodeShell>,
}

impl Disturbed<'_> {
    /// Makes the disturbance, and undoes it as far as it does not pass by itself.
    async fn inject(&self, cause: Cause, node: &str) -> anyhow::Result<()> {
        match cause {
            Cause::AgentKilled => self.kill_agent(node).await,
            Cause::ConnectionsFlushed => self.shell(node, "conntrack -F").await,
            Cause::PolicyEmptied => self.empty_policies().await,
            Cause::BackendsRemoved => self.remove_backends().await,
            Cause::LinkDown => self.link_down(node).await,
            Cause::KubeletStopped => {
                self.shell(node, &kubelet("STOP")).await?;
                pass(STOPPED).await;
                self.shell(node, &kubelet("CONT")).await
            }
            Cause::ProberStopped => {
                let prober = probe::role::CLIENT_NAME;
                self.shell(node, &signal("SIGSTOP", prober, Some(PROBER))).await?;
                pass(STOPPED).await;
                self.shell(node, &signal("SIGCONT", prober, Some(PROBER))).await
            }
        }
    }

    /// Kills the agent, and waits until another is ready: what comes next shall not fall into its absence.
    async fn kill_agent(&self, node: &str) -> anyhow::Result<()> {
        let before = self.subject.agent_status(node).await?.map_or(0, |agent| agent.restart_count);
        self.shell(node, &signal("SIGKILL", &self.subject.names().container, None)).await?;
        let probe = async || match self.subject.agent_status(node).await.map_err(|e| e.to_string())? {
            Some(agent) if agent.restart_count > before && agent.ready => Ok(()),
            Some(agent) => Err(format!("{} restarts, of {before} before", agent.restart_count)),
            None => Err("there is none".to_owned()),
        };
        let condition = format!("the agent of {node} to be back");
        Ok(cluster::wait::until(&condition, BACK, Duration::from_millis(50), probe).await?)
    }

    async fn shell(&self, node: &str, script: &str) -> anyhow::Result<()> {
        let shell = self.shell.context("the provider cannot run commands on nodes")?;
        shell.exec(node, &["sh", "-ec", script]).await?;
        Ok(())
    }

    async fn empty_policies(&self) -> anyhow::Result<()> {
        let kind = self.subject.names().policy.context("the subject has no kind of policies")?;
        let (group, version, kind) = kind;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, &resource);
        let policies = api.list(&ListParams::default()).await.context("the policies cannot be listed")?.items;
        let set = async |policy: &DynamicObject, ingress: serde_json::Value| {
            let name = policy.metadata.name.clone().unwrap_or_default();
            let patch = Patch::Merge(json!({"spec": {"ingress": ingress}}));
            api.patch(&name, &PatchParams::default(), &patch).await.with_context(|| format!("policy {name}"))
        };
        for policy in &policies {
            set(policy, json!([])).await?;
        }
        pass(LENGTH).await;
        for policy in &policies {
            set(policy, policy.data["spec"]["ingress"].clone()).await?;
        }
        Ok(())
    }

    async fn remove_backends(&self) -> anyhow::Result<()> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), self.namespace);
        let service = api.get(SERVICE).await.context("the Service cannot be read")?;
        let mut none = service.clone();
        let selector = [("seatrial.dev/name".to_owned(), "nobody".to_owned())];
        none.spec.get_or_insert_default().selector = Some(selector.into());
        none.metadata.resource_version = None;
        api.replace(SERVICE, &PostParams::default(), &none).await.context("the Service cannot be changed")?;
        self.endpoints(|count| count == 0).await?;
        pass(LENGTH).await;
        let mut again = service;
        again.metadata.resource_version = None;
        api.replace(SERVICE, &PostParams::default(), &again)
            .await
            .context("the Service cannot be put back")?;
        self.endpoints(|count| count > 0).await
    }

    /// Waits until the Service has as many endpoints as are wanted.
    async fn endpoints(&self, wanted: impl Fn(usize) -> bool) -> anyhow::Result<()> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), self.namespace);
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={SERVICE}"));
        let probe = async || {
            let slices = api.list(&of_service).await.map_err(|e| e.to_string())?;
            let count = slices.items.iter().map(|slice| slice.endpoints.len()).sum();
            if wanted(count) { Ok(()) } else { Err(format!("it has {count}")) }
        };
        let condition = format!("the endpoints of Service {SERVICE} to follow it");
        Ok(cluster::wait::until(&condition, FOLLOWED, Duration::from_millis(20), probe).await?)
    }

    async fn link_down(&self, node: &str) -> anyhow::Result<()> {
        // The kernel forgets the routes of an interface that goes down.
        let script = format!(
            "routes=$(mktemp); ip route save dev eth0 >\"$routes\"; ip link set eth0 down; sleep {}; \
             ip link set eth0 up; ip route restore <\"$routes\"; rm \"$routes\"",
            LENGTH.as_secs_f64()
        );
        self.shell(node, &script).await
    }
}

/// A script that sends a signal to the first process of a container.
fn signal(signal: &str, container: &str, pod: Option<&str>) -> String {
    let pod = pod.map(|pod| format!(",labels.\"io.kubernetes.pod.name\"=={pod}")).unwrap_or_default();
    format!(
        "for id in $(ctr -n k8s.io containers ls -q 'labels.\"io.kubernetes.container.name\"=={container}{pod}'); \
         do ctr -n k8s.io tasks kill -s {signal} \"$id\" 2>/dev/null || true; done"
    )
}

/// A script that sends a signal to the kubelet of the node on which it runs.
fn kubelet(signal: &str) -> String {
    format!(
        "own=$(readlink /proc/self/ns/net); for process in /proc/[0-9]*; do \
         if [ \"$(cat $process/comm 2>/dev/null)\" = kubelet ] && [ \"$(readlink $process/ns/net)\" = \"$own\" ]; \
         then kill -{signal} ${{process#/proc/}}; fi; done"
    )
}

async fn pass(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the length of a disturbance is a time, not a condition")]
    tokio::time::sleep(time).await;
}
