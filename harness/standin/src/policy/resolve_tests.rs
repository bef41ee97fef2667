use super::*;
use rstest::rstest;
use serde_json::{Value, json};

const CLIENT: u32 = 300;
const SERVER: u32 = 301;
const ELSEWHERE: u32 = 302;

fn identities() -> BTreeMap<u32, Labels> {
    [
        (CLIENT, "k8s:app=client;k8s:io.kubernetes.pod.namespace=shop;"),
        (SERVER, "k8s:app=server;k8s:io.kubernetes.pod.namespace=shop;"),
        (ELSEWHERE, "k8s:app=client;k8s:io.kubernetes.pod.namespace=other;"),
    ]
    .into_iter()
    .map(|(id, labels)| (id, Labels::parse(labels)))
    .collect()
}

fn verdicts(spec: Value) -> Verdicts {
    let object = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec});
    let policy = Policy::from_object(&serde_json::from_value(object).unwrap()).unwrap();
    let identities = identities();
    resolve(&[policy], &identities[&SERVER], &identities).unwrap()
}

fn ingress(rules: Value) -> Option<Vec<Allow>> {
    verdicts(json!({"endpointSelector": {"matchLabels": {"app": "server"}}, "ingress": rules})).ingress
}

#[test]
fn an_endpoint_that_no_policy_chooses_is_not_enforced() {
    let verdicts = verdicts(json!({"endpointSelector": {"matchLabels": {"app": "db"}}, "ingress": [{}]}));
    assert!(verdicts.ingress.is_none() && verdicts.egress.is_none());
}

#[test]
fn an_empty_rule_denies_everything_in_its_direction_only() {
    let verdicts = verdicts(json!({"endpointSelector": {}, "ingress": [{}]}));
    assert!(verdicts.ingress.is_some_and(|allows| allows.is_empty()));
    assert!(verdicts.egress.is_none());
}

#[rstest]
#[case::own_namespace(json!([{"matchLabels": {"app": "client"}}]), &[CLIENT])]
#[case::everyone_in_the_namespace(json!([{}]), &[CLIENT, SERVER])]
#[case::other_namespace(json!([{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "other"}}]), &[ELSEWHERE])]
fn endpoints_become_identities(#[case] selectors: Value, #[case] expected: &[u32]) {
    let allows = ingress(json!([{"fromEndpoints": selectors}])).unwrap();
    assert_eq!(allows.len(), 1);
    assert_eq!(allows[0].peers, Peers::Identities(expected.iter().copied().collect()));
    assert!(allows[0].ports.is_empty());
}

#[rstest]
#[case::nobody(json!([]))]
#[case::unknown(json!([{"matchLabels": {"app": "nobody"}}]))]
fn selectors_that_choose_nobody_allow_nothing(#[case] selectors: Value) {
    assert!(ingress(json!([{"fromEndpoints": selectors}])).unwrap().is_empty());
}

#[rstest]
#[case::world(json!(["world"]), &[WORLD])]
#[case::host(json!(["host"]), &[HOST])]
#[case::cluster(json!(["cluster"]), &[HOST, REMOTE_NODE, CLIENT, SERVER, ELSEWHERE])]
fn entities_become_identities(#[case] entities: Value, #[case] expected: &[u32]) {
    let allows = ingress(json!([{"fromEntities": entities}])).unwrap();
    assert_eq!(allows[0].peers, Peers::Identities(expected.iter().copied().collect()));
}

#[test]
fn ports_without_peers_are_open_to_everyone() {
    let allows = ingress(json!([{"toPorts": [{"ports": [{"port": "53"}]}]}])).unwrap();
    assert_eq!(allows[0].peers, Peers::Any);
    assert_eq!(allows[0].ports, BTreeSet::from([(Transport::Tcp, 53), (Transport::Udp, 53)]));
}

#[test]
fn every_peer_may_use_every_port() {
    let allows = ingress(json!([{
        "fromEndpoints": [{"matchLabels": {"app": "client"}}], "fromCIDR": ["192.0.2.0/24"],
        "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}, {"ports": [{"port": "53", "protocol": "UDP"}]}],
    }]))
    .unwrap();
    assert_eq!(allows.len(), 4);
}

#[rstest]
#[case::exact("GET", "/public", true)]
#[case::other_method("POST", "/public", false)]
#[case::longer_path("GET", "/public/secret", false)]
#[case::method_is_anchored("GETX", "/public", false)]
fn http_rules_match_the_whole_text(#[case] method: &str, #[case] path: &str, #[case] allowed: bool) {
    let allows = ingress(json!([{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}],
        "rules": {"http": [{"method": "GET", "path": "/public"}]}}]}]))
    .unwrap();
    assert_eq!(allows[0].http[0].allows(method, path), allowed);
}

#[test]
fn a_bad_value_names_itself() {
    let object = json!({"metadata": {"name": "p"}, "spec": {"endpointSelector": {},
        "ingress": [{"fromCIDR": ["10.0.0.0/40"]}]}});
    let policy = Policy::from_object(&serde_json::from_value(object).unwrap()).unwrap();
    let labels = Labels::parse("k8s:io.kubernetes.pod.namespace=default;");
    let error = resolve(&[policy], &labels, &BTreeMap::new()).unwrap_err();
    assert!(error.to_string().contains("10.0.0.0/40"), "{error}");
}
