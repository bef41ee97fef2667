//! The Kubernetes objects of the traffic. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, Namespace, ObjectFieldSelector, Pod, PodSpec, ResourceRequirements,
    Service, ServicePort, ServiceSpec,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use model::Protocol;

use super::addresses::SERVICE_LABEL;
use super::{Target, confinement};
use crate::client::FLOWS_VARIABLE;
use crate::flow::{End, FlowSpec};
use crate::role::{CLIENT_NAME, LISTEN, NODE_NAME, OWN_ADDRESS, SERVER_NAME, TOKEN};
use crate::traffic::{OUTSIDE_PORT, OutsideName, Part, ProbePod, ProbeService};

/// Label that holds the run id.
const RUN_LABEL: &str = "seatrial.dev/run";
/// The processor request of every probe container. A pod without one gets almost no processor time on a busy node, and a
/// late prober measures noise in place of the network.
const CPU: &str = "100m";
/// The variable with the InternalIP of the node.
const NODE_IP: &str = "NODE_IP";
/// How much longer servers may run than probers, which start later.
const SERVERS_LONGER: Duration = Duration::from_secs(300);
/// How much longer a new pod may run than it is waited for.
const NEW_POD_LONGER: Duration = Duration::from_secs(60);

pub(super) fn namespace(target: &Target) -> Namespace {
    let mut labels = run_label(target);
    // Some probes live in the host's network.
    labels.insert("pod-security.kubernetes.io/enforce".into(), "privileged".into());
    let metadata =
        ObjectMeta { name: Some(target.namespace.clone()), labels: Some(labels), ..Default::default() };
    Namespace { metadata, ..Default::default() }
}

pub(super) fn service(target: &Target, planned: &ProbeService) -> Service {
    let ports = planned.ports.iter().map(|listener| ServicePort {
        name: Some(format!("{}-{}", listener.protocol, listener.port)),
        port: listener.port.into(),
        protocol: Some(if listener.protocol == Protocol::Udp { "UDP" } else { "TCP" }.into()),
        target_port: Some(IntOrString::Int(listener.port.into())),
        ..Default::default()
    });
    let spec = ServiceSpec {
        selector: Some(planned.selector.clone()),
        ports: Some(ports.collect()),
        type_: planned.on_nodes.then(|| "NodePort".into()),
        ..Default::default()
    };
    Service {
        metadata: metadata(target, &planned.name, BTreeMap::new()),
        spec: Some(spec),
        ..Default::default()
    }
}

/// The Service and the slice that give a name to an address outside the cluster.
pub(super) fn outside(target: &Target, planned: &OutsideName) -> (Service, EndpointSlice) {
    let port = i32::from(OUTSIDE_PORT);
    let spec = ServiceSpec {
        cluster_ip: Some("None".into()),
        ports: Some(vec![ServicePort { port, ..Default::default() }]),
        ..Default::default()
    };
    let service = Service {
        metadata: metadata(target, &planned.name, BTreeMap::new()),
        spec: Some(spec),
        ..Default::default()
    };
    let of_service = BTreeMap::from([(SERVICE_LABEL.to_owned(), planned.name.clone())]);
    let slice = EndpointSlice {
        address_type: "IPv4".into(),
        endpoints: vec![Endpoint { addresses: vec![planned.address.to_string()], ..Default::default() }],
        metadata: metadata(target, &planned.name, of_service),
        ports: Some(vec![EndpointPort { port: Some(port), ..Default::default() }]),
    };
    (service, slice)
}

pub(super) fn server(target: &Target, planned: &ProbePod) -> Pod {
    let own = planned.part.addresses();
    let on_node_ip = planned.part.is_on_host() && own.is_empty();
    let args = std::iter::once(format!("{TOKEN}{}", target.token))
        .chain(on_node_ip.then(|| format!("{LISTEN}$({NODE_IP})")))
        .chain(own.iter().map(|address| format!("{OWN_ADDRESS}{address}")))
        .chain(planned.listeners.iter().map(ToString::to_string));
    let capability = (!own.is_empty()).then_some("NET_ADMIN");
    let container = Container {
        args: Some(args.collect()),
        env: on_node_ip.then(|| vec![node_ip()]),
        ..container(target, SERVER_NAME, capability)
    };
    // A server that ended before its probers would look like an outage.
    let lifetime = target.lifetime.map(|lifetime| lifetime.saturating_add(SERVERS_LONGER));
    pod(target, planned, container, "Always", lifetime)
}

/// A prober that ended is not restarted: the new one would start another record.
pub(super) fn client(target: &Target, planned: &ProbePod, flows: &[&FlowSpec]) -> Pod {
    pod(target, planned, prober(target, flows), "Never", target.lifetime)
}

/// A pod of a flow of new pods. It has the labels of all of them, so that they share one identity; `longest` is how long it
/// is waited for.
pub(super) fn new_pod(target: &Target, client: &End, name: &str, longest: Duration, tries: &FlowSpec) -> Pod {
    let planned = ProbePod {
        name: client.pod.clone(),
        node: client.node.clone(),
        part: Part::NewPod,
        listeners: Vec::new(),
    };
    let lifetime = target.lifetime.map(|_| longest + NEW_POD_LONGER);
    let mut pod = pod(target, &planned, prober(target, &[tries]), "Never", lifetime);
    pod.metadata.name = Some(name.to_owned());
    pod
}

/// A node watcher that ended is restarted: only what it missed is missing.
pub(super) fn node_watch(target: &Target, planned: &ProbePod) -> Pod {
    pod(target, planned, container(target, NODE_NAME, None), "Always", target.lifetime)
}

fn prober(target: &Target, flows: &[&FlowSpec]) -> Container {
    // ICMP needs a raw socket in a pod.
    let capability = flows.iter().any(|flow| flow.protocol == Protocol::Icmp).then_some("NET_RAW");
    let flows = serde_json::to_string(flows).unwrap_or_default();
    let variable = EnvVar { name: FLOWS_VARIABLE.into(), value: Some(flows), ..Default::default() };
    Container { env: Some(vec![variable]), ..container(target, CLIENT_NAME, capability) }
}

fn container(target: &Target, command: &str, capability: Option<&str>) -> Container {
    let requests = BTreeMap::from([("cpu".to_owned(), Quantity(CPU.to_owned()))]);
    Container {
        name: command.into(),
        image: Some(target.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        // Its last output is reported when it does not become ready.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        command: Some(vec![command.into()]),
        resources: Some(ResourceRequirements { requests: Some(requests), ..Default::default() }),
        security_context: Some(confinement::of_container(capability)),
        ..Default::default()
    }
}

/// The variable that holds the InternalIP of the pod's node.
fn node_ip() -> EnvVar {
    let field = ObjectFieldSelector { field_path: "status.hostIP".into(), ..Default::default() };
    let source = EnvVarSource { field_ref: Some(field), ..Default::default() };
    EnvVar { name: NODE_IP.into(), value_from: Some(source), ..Default::default() }
}

fn pod(
    target: &Target,
    planned: &ProbePod,
    container: Container,
    restart: &str,
    lifetime: Option<Duration>,
) -> Pod {
    let seconds = |lifetime: Duration| i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    let spec = PodSpec {
        active_deadline_seconds: lifetime.map(seconds),
        automount_service_account_token: Some(false),
        containers: vec![container],
        enable_service_links: Some(false),
        host_network: planned.part.is_on_host().then_some(true),
        node_name: Some(planned.node.clone()),
        restart_policy: Some(restart.into()),
        termination_grace_period_seconds: Some(1),
        tolerations: Some(confinement::tolerations()),
        ..Default::default()
    };
    Pod {
        metadata: metadata(target, &planned.name, planned.labels()),
        spec: Some(spec),
        ..Default::default()
    }
}

fn metadata(target: &Target, name: &str, mut labels: BTreeMap<String, String>) -> ObjectMeta {
    labels.append(&mut run_label(target));
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(target.namespace.clone()),
        labels: Some(labels),
        ..Default::default()
    }
}

fn run_label(target: &Target) -> BTreeMap<String, String> {
    BTreeMap::from([(RUN_LABEL.into(), target.run_id.clone())])
}

#[cfg(test)]
pub(super) mod tests;
