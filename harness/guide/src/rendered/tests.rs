use rstest::rstest;
use serde_json::json;

use super::*;

fn version(text: &str) -> Version {
    crate::resolve(&text.parse().unwrap()).unwrap()
}

fn compared(before: Value, after: Value) -> Comparison {
    let list = |value: Value| if value.is_null() { Vec::new() } else { vec![value] };
    compare(&list(before), &list(after), &version("1.16"), &version("1.17")).unwrap()
}

fn workload(kind: &str, name: &str, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": [
            {"name": "main", "image": image, "env": [{"name": "A", "value": "1"}]}]}}}})
}

fn role(rules: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "cilium"},
        "rules": rules})
}

#[rstest]
#[case::agents("DaemonSet", "cilium", Consequence::AgentsRestart, "agents restart on every node")]
#[case::envoy("DaemonSet", "cilium-envoy", Consequence::EnvoyRestarts, "Envoy restarts on every node")]
#[case::operator("Deployment", "cilium-operator", Consequence::PodsRestart, "the operator restarts")]
#[case::view("Deployment", "hubble-relay", Consequence::PodsRestart, "only the view of flows is interrupted")]
#[case::other("Deployment", "extra", Consequence::PodsRestart, "its pods restart")]
#[case::job("Job", "certs", Consequence::Refused, "its pod template cannot be changed")]
fn a_new_image_restarts_pods(
    #[case] kind: &str,
    #[case] name: &str,
    #[case] consequence: Consequence,
    #[case] why: &str,
) {
    let comparison = compared(workload(kind, name, "a:1"), workload(kind, name, "a:2"));
    let [object] = comparison.objects.as_slice() else { panic!("{comparison:?}") };
    assert_eq!((object.change, object.consequence), (Change::Changed, consequence));
    assert!(object.why.starts_with(why), "{}", object.why);
    let field = Field {
        path: "spec.template.spec.containers[main].image".to_owned(),
        before: Some("a:1".to_owned()),
        after: Some("a:2".to_owned()),
    };
    assert_eq!(object.fields, [field]);
}

#[test]
fn envoy_that_becomes_a_daemon_set_moves() {
    let comparison = compared(Value::Null, workload("DaemonSet", "cilium-envoy", "e"));
    assert_eq!(comparison.objects[0].change, Change::Added);
    assert_eq!(comparison.objects[0].consequence, Consequence::EnvoyRestarts);
}

#[test]
fn replicas_restart_no_pod() {
    let (old, mut new) = (workload("Deployment", "x", "a"), workload("Deployment", "x", "a"));
    new["spec"]["replicas"] = json!(3);
    let comparison = compared(old, new);
    assert_eq!(comparison.objects[0].consequence, Consequence::None);
    assert_eq!(comparison.objects[0].why, "its pods do not restart");
}

#[rstest]
#[case::selector(
    workload("Deployment", "x", "a"),
    {
        let mut new = workload("Deployment", "x", "a");
        new["spec"]["selector"]["matchLabels"]["app"] = json!("y");
        new
    }
)]
#[case::role(
    json!({"kind": "ClusterRoleBinding", "metadata": {"name": "c"}, "roleRef": {"name": "a"}}),
    json!({"kind": "ClusterRoleBinding", "metadata": {"name": "c"}, "roleRef": {"name": "b"}})
)]
fn what_the_api_server_refuses_needs_attention(#[case] before: Value, #[case] after: Value) {
    let comparison = compared(before, after);
    assert_eq!(comparison.objects[0].consequence, Consequence::Refused);
    assert!(comparison.needs_attention());
}

#[test]
fn lost_and_new_permissions_are_named() {
    let rule = |verbs: Value| json!({"apiGroups": ["", "cilium.io"], "resources": ["nodes"], "verbs": verbs});
    let lost = compared(role(json!([rule(json!(["get", "list"]))])), role(json!([rule(json!(["get"]))])));
    assert_eq!(lost.objects[0].consequence, Consequence::PermissionLost);
    assert!(lost.objects[0].why.ends_with("list nodes, list nodes.cilium.io"), "{}", lost.objects[0].why);
    let gained = compared(role(json!([rule(json!(["get"]))])), role(json!([rule(json!(["get", "list"]))])));
    assert_eq!(gained.objects[0].consequence, Consequence::None);
    assert!(gained.objects[0].why.contains("list nodes"), "{}", gained.objects[0].why);
}

#[test]
fn labels_of_the_version_and_values_of_secrets_are_no_difference() {
    let object = |chart: &str, key: &str| {
        json!({"kind": "Secret", "metadata": {"name": "s", "labels": {"helm.sh/chart": chart}},
            "data": {"tls.key": key}})
    };
    assert_eq!(compared(object("cilium-1.16", "a"), object("cilium-1.17", "b")), Comparison::default());
    let mut other = object("cilium-1.17", "b");
    other["data"]["ca.crt"] = json!("hidden");
    let comparison = compared(object("cilium-1.17", "b"), other);
    assert_eq!(comparison.objects[0].fields[0].after.as_deref(), Some("…"));
}

#[rstest]
#[case::same("kube-proxy-replacement", "true", "true", None)]
#[case::routing("routing-mode", "native", "tunnel", Some(true))]
#[case::unset("enable-ipv4", "true", "true", None)]
#[case::of_a_mesh("policy-default-local-cluster", "false", "true", Some(false))]
fn agents_that_would_behave_differently_are_found(
    #[case] key: &str,
    #[case] before: &str,
    #[case] after: &str,
    #[case] attention: Option<bool>,
) {
    let config = |value: &str| {
        json!({"kind": "ConfigMap", "metadata": {"name": "cilium-config"},
            "data": {"identity-allocation-mode": "crd", "ipam": "kubernetes", "cluster-id": "0", key: value}})
    };
    let (from, to) = (version("1.18"), version("1.19"));
    let comparison = compare(&[config(before)], &[config(after)], &from, &to).unwrap();
    let found = comparison.settings.iter().find(|setting| setting.key == key);
    assert_eq!(found.map(|setting| setting.attention), attention, "{:#?}", comparison.settings);
}
