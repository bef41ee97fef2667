//! The Kubernetes objects of the traffic. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, Namespace, Pod, PodSpec, ResourceRequirements, SecurityContext, Service,
    ServicePort, ServiceSpec, Toleration,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use model::Protocol;

use super::Target;
use super::addresses::SERVICE_LABEL;
use crate::client::FLOWS_VARIABLE;
use crate::flow::FlowSpec;
use crate::role::{CLIENT_NAME, NODE_NAME, OWN_ADDRESS, SERVER_NAME};
use crate::traffic::{OUTSIDE_PORT, OutsideName, ProbePod, ProbeService};

/// Label that holds the run id.
const RUN_LABEL: &str = "seatrial.dev/run";
/// The processor request of every probe container. A pod without one gets almost no processor time on a busy node, and a
/// late prober measures noise in place of the network.
const CPU: &str = "100m";

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
    let addresses = planned.part.addresses();
    let own = addresses.iter().map(|address| format!("{OWN_ADDRESS}{address}"));
    let args = own.chain(planned.listeners.iter().map(ToString::to_string)).collect();
    let may_add = Capabilities { add: Some(vec!["NET_ADMIN".into()]), ..Default::default() };
    let security = SecurityContext { capabilities: Some(may_add), ..Default::default() };
    let container = Container {
        args: Some(args),
        security_context: (!addresses.is_empty()).then_some(security),
        ..container(target, SERVER_NAME)
    };
    pod(target, planned, container, "Always")
}

/// A prober that ended is not restarted: the new one would start another record.
pub(super) fn client(target: &Target, planned: &ProbePod, flows: &[&FlowSpec]) -> Pod {
    let flows = serde_json::to_string(flows).unwrap_or_default();
    let variable = EnvVar { name: FLOWS_VARIABLE.into(), value: Some(flows), ..Default::default() };
    // ICMP needs a raw socket in a pod.
    let raw_sockets = Capabilities { add: Some(vec!["NET_RAW".into()]), ..Default::default() };
    let security = SecurityContext { capabilities: Some(raw_sockets), ..Default::default() };
    let container = Container {
        env: Some(vec![variable]),
        security_context: Some(security),
        ..container(target, CLIENT_NAME)
    };
    pod(target, planned, container, "Never")
}

/// A node watcher that ended is restarted: only what it missed is missing.
pub(super) fn node_watch(target: &Target, planned: &ProbePod) -> Pod {
    pod(target, planned, container(target, NODE_NAME), "Always")
}

fn container(target: &Target, command: &str) -> Container {
    let requests = BTreeMap::from([("cpu".to_owned(), Quantity(CPU.to_owned()))]);
    Container {
        name: command.into(),
        image: Some(target.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        // Its last output is reported when it does not become ready.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        command: Some(vec![command.into()]),
        resources: Some(ResourceRequirements { requests: Some(requests), ..Default::default() }),
        ..Default::default()
    }
}

fn pod(target: &Target, planned: &ProbePod, container: Container, restart: &str) -> Pod {
    let anywhere = Toleration { operator: Some("Exists".into()), ..Default::default() };
    let spec = PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container],
        enable_service_links: Some(false),
        host_network: planned.part.is_on_host().then_some(true),
        node_name: Some(planned.node.clone()),
        restart_policy: Some(restart.into()),
        termination_grace_period_seconds: Some(1),
        tolerations: Some(vec![anywhere]),
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
mod tests {
    use super::super::ServiceName;
    use super::*;
    use crate::traffic::{Settings, Traffic};

    fn target() -> Target {
        Target {
            namespace: "seatrial-7".into(),
            run_id: "7".into(),
            image: "seatrial:abc".into(),
            dns: ServiceName { namespace: "kube-system".into(), name: "kube-dns".into() },
        }
    }

    #[test]
    fn a_prober_gets_its_own_flows_and_is_not_restarted() {
        let traffic = Traffic::standard(&["node1".into(), "node2".into()], true, &Settings::default());
        let planned = traffic.pods.iter().find(|pod| pod.name == "client-1").unwrap();
        let flows: Vec<_> = traffic.flows_of("client-1").collect();
        let spec = client(&target(), planned, &flows).spec.unwrap();
        assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
        assert_eq!(spec.node_name.as_deref(), Some("node1"));
        let json = spec.containers[0].env.as_ref().unwrap()[0].value.clone().unwrap();
        let back: Vec<FlowSpec> = serde_json::from_str(&json).unwrap();
        assert_eq!(back.iter().collect::<Vec<_>>(), flows);
        assert!(json.len() < 64 * 1024, "{} bytes of environment", json.len());
    }

    #[test]
    fn everything_carries_the_run() {
        let traffic = Traffic::standard(&["node1".into()], true, &Settings::default());
        let mut labels = vec![namespace(&target()).metadata.labels];
        labels.extend(traffic.services.iter().map(|s| service(&target(), s).metadata.labels));
        labels.extend(traffic.pods.iter().map(|p| server(&target(), p).metadata.labels));
        for labels in labels {
            assert_eq!(labels.unwrap()[RUN_LABEL], "7");
        }
    }

    #[test]
    fn an_address_outside_of_the_cluster_gets_its_name_and_its_host() {
        let settings = Settings { names: true, ..Settings::default() };
        let traffic = Traffic::standard(&["node1".into()], true, &settings);
        let (service, slice) = outside(&target(), &traffic.names[0]);
        assert_eq!(service.spec.unwrap().cluster_ip.as_deref(), Some("None"));
        assert_eq!(slice.metadata.labels.unwrap()[SERVICE_LABEL], "outside");
        assert_eq!(slice.endpoints[0].addresses, ["192.0.2.10"]);
        let planned = traffic.pods.iter().find(|pod| pod.name == "named-server").unwrap();
        let container = server(&target(), planned).spec.unwrap().containers.remove(0);
        assert_eq!(container.args.unwrap(), ["address:192.0.2.10", "address:192.0.2.11", "tcp:27002"]);
        assert!(container.security_context.is_some());
    }

    #[test]
    fn a_service_selects_the_server_of_its_name_or_all_that_policies_select() {
        let traffic = Traffic::standard(&["node1".into(), "node2".into()], true, &Settings::default());
        for planned in &traffic.services {
            let spec = service(&target(), planned).spec.unwrap();
            let on_nodes = spec.type_.as_deref() == Some("NodePort");
            assert_eq!(on_nodes, planned.name == "open-server", "{}", planned.name);
            let selector = spec.selector.unwrap();
            let selected: Vec<_> = traffic
                .pods
                .iter()
                .filter(|pod| selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value)))
                .map(|pod| pod.name.as_str())
                .collect();
            match planned.name.as_str() {
                "servers" => assert_eq!(selected, ["server-1", "server-2"]),
                name => assert_eq!(selected, [name]),
            }
        }
    }
}
