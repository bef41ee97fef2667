//! Watches the cluster, and records what happens to the objects to which an outage can be attributed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt as _};
use model::{Change, Role};
use probe::attribution::Observed;
use probe::traffic::{PART_LABEL, Part};
use report::event::Observation;
use serde::de::DeserializeOwned;
use serde_json::Value;
use subject::Names;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::record::Recorder;

/// Starts all watchers; they end when they are aborted.
pub(crate) fn watch(
    client: &kube::Client,
    names: &Names,
    probes: &str,
    recorder: &Arc<Recorder>,
) -> Vec<JoinHandle<()>> {
    let subjects: Api<Pod> = Api::namespaced(client.clone(), &names.namespace);
    let probe_pods: Api<Pod> = Api::namespaced(client.clone(), probes);
    let nodes: Api<Node> = Api::all(client.clone());
    let services: Api<Service> = Api::namespaced(client.clone(), probes);
    let endpoints: Api<EndpointSlice> = Api::namespaced(client.clone(), probes);
    let any = watcher::Config::default;
    let roles = names.clone();
    let mut watchers = vec![
        follow(subjects, any(), recorder, Pods::new(move |pod| roles.role(pod))),
        follow(probe_pods, any(), recorder, Pods::new(lasting_probe)),
        follow(nodes, any(), recorder, Nodes::default()),
        follow(services, any(), recorder, Writes::of(Role::Service, "service")),
        follow(endpoints, any(), recorder, Writes::of(Role::Endpoints, "endpointslice")),
    ];
    if let Some(name) = &names.config_map {
        let config: Api<ConfigMap> = Api::namespaced(client.clone(), &names.namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        watchers.push(follow(config, only, recorder, Writes::of(Role::Config, "configmap")));
    }
    if let Some((group, version, kind)) = names.policy {
        let policy = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let policies: Api<DynamicObject> = Api::namespaced_with(client.clone(), probes, &policy);
        watchers.push(follow(policies.clone(), any(), recorder, Writes::of(Role::Policy, "policy")));
        watchers.push(follow(policies, any(), recorder, Refusals::default()));
    }
    watchers
}

/// Records what the nodes' own watchers see, until the last of them is gone.
pub(crate) async fn nodes(mut seen: UnboundedReceiver<Observed>, recorder: Arc<Recorder>) {
    while let Some(Observed { at_ns, node, role, object, change, detail }) = seen.recv().await {
        recorder.observe(at_ns, Observation { node, role, object, change, detail });
    }
}

/// The role of a probe pod; new ones come and go by plan, and explain nothing.
fn lasting_probe(pod: &Pod) -> Option<Role> {
    let new = pod.labels().get(PART_LABEL).is_some_and(|part| part == Part::NewPod.label());
    (!new).then_some(Role::Probe)
}

/// Turns the states of one kind of object into what happened to it.
trait Watch<K>: Send + 'static {
    fn applied(&mut self, object: &K) -> Vec<Observation>;
    fn deleted(&mut self, object: &K) -> Vec<Observation>;
}

fn follow<K, W>(
    api: Api<K>,
    config: watcher::Config,
    recorder: &Arc<Recorder>,
    mut watch: W,
) -> JoinHandle<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    W: Watch<K>,
{
    let recorder = Arc::clone(recorder);
    tokio::spawn(async move {
        let mut events = watcher(api, config).boxed();
        while let Some(event) = events.next().await {
            let at_ns = probe::clock::now_ns();
            let seen = match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => watch.applied(&object),
                Ok(Event::Delete(object)) => watch.deleted(&object),
                Ok(Event::Init | Event::InitDone) => Vec::new(),
                Err(e) => {
                    // The watcher goes on by itself, from a new list.
                    tracing::debug!(error = %e, "a watch was cut");
                    pause().await;
                    Vec::new()
                }
            };
            for observation in seen {
                recorder.observe(at_ns, observation);
            }
        }
    })
}

async fn pause() {
    #[expect(clippy::disallowed_methods, reason = "the pause before a cut watch is opened again")]
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// What was last seen of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PodState {
    deleted: bool,
    started: bool,
    ready: bool,
    terminated: bool,
    /// How often containers were started again in place.
    restarts: i32,
    /// Why a container cannot start, when that is not only a matter of time.
    blocked: Option<String>,
}

/// The role of a pod.
type RoleOf = Box<dyn Fn(&Pod) -> Option<Role> + Send>;

/// Pods, each with its role; pods without one are not recorded.
struct Pods {
    role: RoleOf,
    states: BTreeMap<String, PodState>,
}

impl Pods {
    fn new(role: impl Fn(&Pod) -> Option<Role> + Send + 'static) -> Self {
        Self { role: Box::new(role), states: BTreeMap::new() }
    }

    fn observation(&self, pod: &Pod, change: Change) -> Option<Observation> {
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        Some(Observation {
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            role: (self.role)(pod)?,
            object: format!("pod {}/{}", pod.namespace().unwrap_or_default(), pod.name_any()),
            change,
            detail: container.and_then(|container| container.image.clone()),
        })
    }
}

impl Watch<Pod> for Pods {
    fn applied(&mut self, pod: &Pod) -> Vec<Observation> {
        let now = pod_state(pod);
        let before = self.states.insert(pod.uid().unwrap_or_default(), now.clone()).unwrap_or_default();
        // A container that was started again has ended, though nobody may have seen it down.
        let restarted = before.restarts < now.restarts;
        let changes = [
            (!before.deleted && now.deleted, Change::Deleted),
            (now.started && (!before.started || restarted), Change::Started),
            (!before.ready && now.ready, Change::Ready),
            (before.ready && !now.ready && !now.deleted, Change::NotReady),
            (!before.terminated && (now.terminated || restarted), Change::Terminated),
        ];
        let blocked = now.blocked.clone().filter(|_| before.blocked.is_none());
        let blocked = blocked.and_then(|why| {
            Some(Observation { detail: Some(why), ..self.observation(pod, Change::CannotStart)? })
        });
        changes
            .iter()
            .filter(|(happened, _)| *happened)
            .filter_map(|(_, c)| self.observation(pod, *c))
            .chain(blocked)
            .collect()
    }

    fn deleted(&mut self, pod: &Pod) -> Vec<Observation> {
        let before = self.states.remove(&pod.uid().unwrap_or_default()).unwrap_or_default();
        // A pod that goes without its end having been seen has ended at the latest now.
        let unseen = !before.terminated && before.started;
        unseen.then(|| self.observation(pod, Change::Terminated)).flatten().into_iter().collect()
    }
}

fn pod_state(pod: &Pod) -> PodState {
    let status = pod.status.as_ref();
    let containers = || status.and_then(|s| s.container_statuses.as_ref()).into_iter().flatten();
    let states: Vec<_> = containers().filter_map(|c| c.state.as_ref()).collect();
    let conditions = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    PodState {
        deleted: pod.metadata.deletion_timestamp.is_some(),
        started: states.iter().any(|state| state.running.is_some()),
        ready: conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True"),
        blocked: blocked(pod),
        restarts: containers().map(|container| container.restart_count).sum(),
        terminated: !states.is_empty() && states.iter().all(|state| state.terminated.is_some()),
    }
}

/// What keeps a container of the pod from starting, as `kubectl get pods` would show it.
fn blocked(pod: &Pod) -> Option<String> {
    const PASSING: [&str; 2] = ["ContainerCreating", "PodInitializing"];
    let status = pod.status.as_ref()?;
    let containers = [&status.init_container_statuses, &status.container_statuses];
    let waiting =
        containers.into_iter().flatten().flatten().filter_map(|c| c.state.as_ref()?.waiting.as_ref());
    let mut reasons = waiting.filter_map(|waiting| waiting.reason.as_deref());
    reasons.find(|reason| !PASSING.contains(reason)).map(ToOwned::to_owned)
}

/// Nodes: whether they are Ready.
#[derive(Default)]
struct Nodes {
    ready: BTreeMap<String, bool>,
}

impl Watch<Node> for Nodes {
    fn applied(&mut self, node: &Node) -> Vec<Observation> {
        let conditions = node.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let Some(condition) = conditions.into_iter().find(|c| c.type_ == "Ready") else { return Vec::new() };
        let (name, ready) = (node.name_any(), condition.status == "True");
        if self.ready.insert(name.clone(), ready) == Some(ready) {
            return Vec::new();
        }
        vec![Observation {
            node: Some(name.clone()),
            role: Role::Node,
            object: format!("node {name}"),
            change: if ready { Change::Ready } else { Change::NotReady },
            detail: condition.message.clone(),
        }]
    }

    fn deleted(&mut self, node: &Node) -> Vec<Observation> {
        self.ready.remove(&node.name_any());
        Vec::new()
    }
}

/// Objects of which only writes matter, and status is no write.
struct Writes {
    role: Role,
    kind: &'static str,
    seen: BTreeMap<String, String>,
}

impl Writes {
    fn of(role: Role, kind: &'static str) -> Self {
        Self { role, kind, seen: BTreeMap::new() }
    }

    fn observation<K: Resource>(&self, object: &K, change: Change) -> Observation {
        Observation {
            node: None,
            role: self.role,
            object: format!("{} {}", self.kind, object.name_any()),
            change,
            detail: None,
        }
    }
}

impl<K: Resource> Watch<K> for Writes {
    fn applied(&mut self, object: &K) -> Vec<Observation> {
        let version = object.meta().generation.map_or_else(
            || object.resource_version().unwrap_or_default(),
            // A policy's status is written by the agents; only its content counts.
            |generation| generation.to_string(),
        );
        if self.seen.insert(object.name_any(), version.clone()).is_some_and(|before| before == version) {
            return Vec::new();
        }
        vec![self.observation(object, Change::Written)]
    }

    fn deleted(&mut self, object: &K) -> Vec<Observation> {
        self.seen.remove(&object.name_any());
        vec![self.observation(object, Change::Removed)]
    }
}

/// Policies that agents do not enforce, as they write into the status of the object.
#[derive(Default)]
struct Refusals {
    /// The reason by policy and node.
    seen: BTreeMap<(String, String), String>,
}

impl Watch<DynamicObject> for Refusals {
    fn applied(&mut self, policy: &DynamicObject) -> Vec<Observation> {
        let name = policy.name_any();
        let nodes = policy.data.pointer("/status/nodes").and_then(Value::as_object);
        let errors = nodes.into_iter().flatten().filter_map(|(node, status)| {
            let error = status.get("error").and_then(Value::as_str)?;
            let known = self.seen.insert((name.clone(), node.clone()), error.to_owned());
            (known.as_deref() != Some(error)).then(|| Observation {
                node: Some(node.clone()),
                role: Role::Policy,
                object: format!("policy {name}"),
                change: Change::Refused,
                detail: Some(error.to_owned()),
            })
        });
        errors.collect()
    }

    fn deleted(&mut self, policy: &DynamicObject) -> Vec<Observation> {
        self.seen.retain(|(name, _), _| *name != policy.name_any());
        Vec::new()
    }
}

/// Records the peak of the cluster's memory, once a second.
pub(crate) async fn memory(meter: impl Fn() -> Option<u64> + Send, recorder: Arc<Recorder>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        if let Some(now) = meter() {
            recorder.with(|run| {
                let peak = run.provider.memory_peak_bytes.unwrap_or_default().max(now);
                run.provider.memory_peak_bytes = Some(peak);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_seen_once_for_each_node() {
        let policy = |nodes: Value| -> DynamicObject {
            let object = json!({"metadata": {"name": "p"}, "status": {"nodes": nodes}});
            serde_json::from_value(object).unwrap()
        };
        let mut refusals = Refusals::default();
        let refused = policy(json!({"node1": {"ok": false, "error": "too many"}, "node2": {"ok": true}}));
        let seen = refusals.applied(&refused);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].node.as_deref(), Some("node1"));
        assert_eq!((seen[0].object.as_str(), seen[0].detail.as_deref()), ("policy p", Some("too many")));
        assert!(refusals.applied(&refused).is_empty());
        assert_eq!(refusals.applied(&policy(json!({"node2": {"error": "too many"}}))).len(), 1);
        refusals.deleted(&refused);
        assert_eq!(refusals.applied(&refused).len(), 1);
    }
}
