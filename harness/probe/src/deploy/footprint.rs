//! The footprint on an existing cluster: every property of every object, and the list of them in `SECURITY.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use rstest::rstest;
use serde_json::{Value, json};

use super::objects::tests::target;
use super::{Target, objects};
use crate::exchange::Listener;
use crate::traffic::{NAME_LABEL, Part, ProbePod, Settings, Traffic};

/// The page that lists the footprint.
const PAGE: &str = include_str!("../../../../SECURITY.md");
/// How long the probers of the run may run.
const LIFETIME: Duration = Duration::from_secs(3_600);

fn existing() -> Target {
    Target { lifetime: Some(LIFETIME), ..target() }
}

/// What `watch` sends by default, on three nodes, and over IPv6 on request.
fn traffic(ipv6: bool) -> Traffic {
    let nodes = ["node1", "node2", "node3"].map(str::to_owned);
    Traffic::standard(&nodes, false, &Settings { ipv6, ..Settings::default() })
}

fn pod(traffic: &Traffic, planned: &ProbePod) -> Pod {
    let flows: Vec<_> = traffic.flows_of(&planned.name).collect();
    match planned.part {
        Part::NewPod => {
            let longest = Duration::from_nanos(flows[0].deadline_ns);
            objects::new_pod(&existing(), &flows[0].client, &format!("{}-0", planned.name), longest, flows[0])
        }
        Part::NodeWatch => objects::node_watch(&existing(), planned),
        part if part.is_server() => objects::server(&existing(), planned),
        _ => objects::client(&existing(), planned, &flows),
    }
}

/// Every pod of the traffic, with its part.
fn pods() -> Vec<(Part, Pod)> {
    pods_of(&traffic(false))
}

fn pods_of(traffic: &Traffic) -> Vec<(Part, Pod)> {
    assert!(traffic.pods.iter().all(|pod| !pod.part.is_outside()), "there is no host outside");
    traffic.pods.iter().map(|planned| (planned.part, pod(traffic, planned))).collect()
}

fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().unwrap()
}

fn container(pod: &Pod) -> &Container {
    let [container] = spec(pod).containers.as_slice() else { panic!("one container") };
    container
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap()
}

/// Returns the capabilities that a container adds.
fn added(pod: &Pod) -> Vec<String> {
    let security = container(pod).security_context.clone().unwrap();
    security.capabilities.and_then(|capabilities| capabilities.add).unwrap_or_default()
}

/// Returns whether a pod has an ICMP flow.
fn sends_icmp(pod: &Pod) -> bool {
    let env = container(pod).env.iter().flatten();
    env.filter_map(|variable| variable.value.as_deref()).any(|flows| flows.contains(r#""protocol":"icmp""#))
}

#[test]
fn every_pod_ends_by_itself_and_servers_end_last() {
    for (part, pod) in pods() {
        let seconds = spec(&pod).active_deadline_seconds;
        let expected = match part {
            Part::NewPod => 10 + 60,
            part if part.is_server() => 3_600 + 300,
            _ => 3_600,
        };
        assert_eq!(seconds, Some(expected), "{}", name(&pod));
    }
}

#[test]
fn in_a_cluster_that_is_removed_with_the_run_pods_have_no_deadline() {
    let traffic = traffic(false);
    let planned = traffic.pods.iter().find(|pod| pod.part == Part::Server).unwrap();
    assert_eq!(spec(&objects::server(&target(), planned)).active_deadline_seconds, None);
}

#[test]
fn a_server_on_the_network_of_its_node_listens_on_the_internal_ip_alone() {
    let on_hosts = pods().into_iter().filter(|(part, _)| part.is_on_host() && part.is_server());
    let servers: Vec<_> = on_hosts.map(|(_, pod)| pod).collect();
    assert!(!servers.is_empty());
    for pod in servers {
        let args = container(&pod).args.clone().unwrap();
        assert!(args.contains(&"listen:$(NODE_IP)".to_owned()), "{args:?}");
        let env = serde_json::to_value(&container(&pod).env).unwrap();
        let field = json!({"fieldRef": {"fieldPath": "status.hostIP"}});
        assert_eq!(env, json!([{"name": "NODE_IP", "valueFrom": field}]));
    }
}

#[test]
fn every_server_has_the_token() {
    for (_, pod) in pods().into_iter().filter(|(part, _)| part.is_server()) {
        let args = container(&pod).args.clone().unwrap();
        assert!(args.contains(&"token:0011223344556677".to_owned()), "{}: {args:?}", name(&pod));
    }
}

#[test]
fn every_flow_has_the_token() {
    let token = existing().token;
    assert!(traffic(false).with_token(token).flows.iter().all(|flow| flow.token == Some(token)));
}

/// New pods with labels of their own would each be a new identity for Cilium.
#[test]
fn new_pods_of_a_flow_differ_in_nothing_but_their_name() {
    let traffic = traffic(false);
    let planned = traffic.pods.iter().find(|pod| pod.part == Part::NewPod).unwrap();
    let flow = traffic.flows_of(&planned.name).next().unwrap();
    let pod = |name: &str| objects::new_pod(&existing(), &flow.client, name, Duration::from_secs(10), flow);
    let (first, mut second) = (pod("new-pod-1-0"), pod("new-pod-1-1"));
    assert_eq!(first.metadata.labels.as_ref().unwrap()[NAME_LABEL], "new-pod-1");
    second.metadata.name = first.metadata.name.clone();
    assert_eq!(first, second);
}

/// Nothing else is set: no volume, no process namespace of the node, no port of the node.
#[test]
fn pods_have_these_fields_and_no_other() {
    let keys = |value: Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let mut found = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
    for (_, pod) in pods() {
        found[0].extend(keys(serde_json::to_value(&pod.metadata).unwrap()));
        found[1].extend(keys(serde_json::to_value(spec(&pod)).unwrap()));
        found[2].extend(keys(serde_json::to_value(container(&pod)).unwrap()));
        assert_eq!(spec(&pod).automount_service_account_token, Some(false));
    }
    let known: [&[&str]; 3] = [
        &["labels", "name", "namespace"],
        &[
            "activeDeadlineSeconds",
            "automountServiceAccountToken",
            "containers",
            "enableServiceLinks",
            "hostNetwork",
            "nodeName",
            "restartPolicy",
            "terminationGracePeriodSeconds",
            "tolerations",
        ],
        &[
            "args",
            "command",
            "env",
            "image",
            "imagePullPolicy",
            "name",
            "resources",
            "securityContext",
            "terminationMessagePolicy",
        ],
    ];
    for (found, known) in found.iter().zip(known) {
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), known);
    }
}

#[rstest]
#[case::by_default(false)]
#[case::over_ipv6(true)]
fn a_container_has_the_capability_that_its_flows_need_and_no_other(#[case] ipv6: bool) {
    for (part, pod) in pods_of(&traffic(ipv6)) {
        assert!(!sends_icmp(&pod) || part == Part::Client, "{}", name(&pod));
        let capabilities = match sends_icmp(&pod) {
            true => json!({"add": ["NET_RAW"], "drop": ["ALL"]}),
            false => json!({"drop": ["ALL"]}),
        };
        let mut expected = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": capabilities,
            "readOnlyRootFilesystem": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        if !sends_icmp(&pod) {
            expected["runAsNonRoot"] = json!(true);
            expected["runAsUser"] = json!(65_534);
        }
        let context = serde_json::to_value(&container(&pod).security_context).unwrap();
        assert_eq!(context, expected, "{}", name(&pod));
    }
}

/// Pods must outlast an outage of the network of their nodes, and no other taint.
#[rstest]
#[case::not_ready("node.kubernetes.io/not-ready")]
#[case::unreachable("node.kubernetes.io/unreachable")]
fn pods_tolerate_a_node_without_network_and_nothing_else(#[case] key: &str) {
    for (_, pod) in pods() {
        let tolerations = serde_json::to_value(&spec(&pod).tolerations).unwrap();
        let expected = json!({"effect": "NoExecute", "key": key, "operator": "Exists"});
        assert_eq!(tolerations.as_array().unwrap().len(), 2, "{}", name(&pod));
        assert!(tolerations.as_array().unwrap().contains(&expected), "{tolerations}");
    }
}

#[test]
fn services_are_of_the_cluster_alone() {
    for planned in traffic(false).services {
        let service = objects::service(&existing(), &planned);
        assert_eq!(service.spec.unwrap().type_, None, "{}", planned.name);
    }
}

#[test]
fn security_md_lists_the_pods_and_services_that_are_created() {
    let mut by_part = BTreeMap::<&str, Vec<Pod>>::new();
    pods().into_iter().for_each(|(part, pod)| by_part.entry(part.label()).or_default().push(pod));
    let rows: String = by_part.iter().flat_map(|(label, pods)| rows(label, pods)).collect();
    let table = format!(
        "| pods | with 3 nodes | network | user | capability | listens on |\n|---|---|---|---|---|---|\n{rows}"
    );
    assert!(PAGE.contains(&table), "SECURITY.md does not have this table:\n{table}");
    let services = format!("{} Services of the type ClusterIP", traffic(false).services.len());
    assert!(PAGE.contains(&services), "SECURITY.md does not say: {services}");
}

/// A row for each kind of pod of a part; pods of a part can differ in what they need.
fn rows(label: &str, pods: &[Pod]) -> BTreeSet<String> {
    let properties = |pod: &Pod| {
        let context = container(pod).security_context.clone().unwrap();
        let network = if spec(pod).host_network == Some(true) { "node" } else { "pod" };
        let user = context.run_as_user.map_or("root".to_owned(), |user| user.to_string());
        let added = added(pod);
        let capability =
            if added.is_empty() { "none".to_owned() } else { format!("`{}`", added.join("`, `")) };
        format!("{network} | {user} | {capability} | {}", listens(pod))
    };
    let count = |of: &str| pods.iter().filter(|pod| properties(pod) == of).count();
    pods.iter()
        .map(|pod| format!("| `{label}` | {} | {} |\n", count(&properties(pod)), properties(pod)))
        .collect()
}

/// Names the ports of a pod, and the address of a port on a node.
fn listens(pod: &Pod) -> String {
    let args = container(pod).args.clone().unwrap_or_default();
    let listeners = args.iter().filter_map(|arg| arg.parse::<Listener>().ok());
    let ports: Vec<_> = listeners.map(|it| format!("{} {}", it.protocol, it.port)).collect();
    match (ports.join(", "), args.iter().any(|arg| arg.starts_with("listen:"))) {
        (ports, _) if ports.is_empty() => "nothing".to_owned(),
        (ports, true) => format!("{ports}, on the InternalIP of the node"),
        (ports, false) => ports,
    }
}
