use super::*;
use crate::yaml;
use rstest::rstest;

fn version(text: &str) -> Version {
    crate::resolve(&text.parse().unwrap()).unwrap()
}

fn go(text: &str, from: &str, to: &str) -> Rebased {
    let (from, to) = (version(from), version(to));
    rebase(text, &Request { from: &from, to: &to, charts: None }).unwrap()
}

fn class(rebased: &Rebased, key: &str) -> Option<Class> {
    rebased.decisions.iter().find(|decision| decision.key == key).map(|decision| decision.class)
}

/// Values that keep the defaults which a file must decide on out of a test.
const QUIET: &str = "upgradeCompatibility: \"1.9\"\n";

#[rstest]
#[case::moved("tunnel: disabled # routed\nx: 1\n", "1.14", "1.15", "routingMode: native # routed\nx: 1\n")]
#[case::moved_to_two(
    "masquerade: false\n",
    "1.9",
    "1.10",
    "enableIPv4Masquerade: false\nenableIPv6Masquerade: false\n"
)]
#[case::becomes_a_map(
    "a: 1\nbandwidthManager: true # fast\n",
    "1.11",
    "1.12",
    "a: 1\nbandwidthManager:\n  enabled: true # fast\n"
)]
#[case::moved_into_an_existing_map(
    "encryption:\n  enabled: true\n  keyFile: keys # file\n  ipsec:\n    interface: eth0\n",
    "1.15",
    "1.16",
    "encryption:\n  enabled: true\n  ipsec:\n    interface: eth0\n    keyFile: keys # file\n"
)]
#[case::list(
    "ipam:\n  operator:\n    clusterPoolIPv4PodCIDR: 10.1.0.0/16\n",
    "1.13",
    "1.14",
    "ipam:\n  operator:\n    clusterPoolIPv4PodCIDRList: [10.1.0.0/16]\n"
)]
#[case::word("kubeProxyReplacement: strict\n", "1.14", "1.15", "kubeProxyReplacement: true\n")]
#[case::word_back("kubeProxyReplacement: true\n", "1.15", "1.13", "kubeProxyReplacement: strict\n")]
#[case::removed_with_its_map(
    "debug:\n  enabled: true\nsockops:\n  enabled: false\n",
    "1.13",
    "1.14",
    "debug:\n  enabled: true\n"
)]
#[case::back("routingMode: native\n", "1.14", "1.13", "tunnel: disabled\n")]
#[case::flow(
    "bpf: {masquerade: true, hostRouting: true}\n",
    "1.12",
    "1.13",
    "bpf: {hostLegacyRouting: true, masquerade: true}\n"
)]
#[case::crlf(
    "tunnel: geneve\r\nipv4:\r\n  enabled: true\r\n",
    "1.14",
    "1.15",
    "routingMode: tunnel\r\ntunnelProtocol: geneve\r\nipv4:\r\n  enabled: true\r\n"
)]
#[case::umbrella(
    "owner: me\ncilium:\n  hostFirewall: true\n",
    "1.10",
    "1.11",
    "owner: me\ncilium:\n  hostFirewall:\n    enabled: true\n"
)]
fn changes_the_text(#[case] text: &str, #[case] from: &str, #[case] to: &str, #[case] expected: &str) {
    let quiet = |text: &str| {
        let indent = if text.starts_with("owner") { "  " } else { "" };
        let eol = if text.contains('\r') { "\r\n" } else { "\n" };
        let pins =
            [QUIET.trim_end(), "dnsProxy: {minTtl: 0}", "operator: {prometheus: {port: 1, enabled: true}}"];
        pins.iter().fold(text.to_owned(), |all, line| format!("{all}{indent}{line}{eol}"))
    };
    assert_eq!(go(&quiet(text), from, to).text, quiet(expected));
}

#[rstest]
#[case::lost("bgp:\n  enabled: true\n", "1.16", "1.17", "bgp.enabled", Class::Lost)]
#[case::harmless("bgp:\n  enabled: false\n", "1.16", "1.17", "bgp.enabled", Class::Removed)]
#[case::included(
    "kubeProxyReplacement: true\nnodePort:\n  enabled: true\n",
    "1.18",
    "1.19",
    "nodePort.enabled",
    Class::Removed
)]
#[case::not_included("nodePort:\n  enabled: true\n", "1.18", "1.19", "nodePort.enabled", Class::Lost)]
#[case::unknown(
    "kubeProxyReplacment: true\ndebug: {enabled: true}\n",
    "1.15",
    "1.16",
    "kubeProxyReplacment",
    Class::Unknown
)]
#[case::pinned("debug:\n  enabled: true\n", "1.13", "1.14", "dnsProxy.minTtl", Class::DefaultFlipped)]
#[case::not_known_what_is_lost(
    "clustermesh:\n  apiserver:\n    tls:\n      client:\n        cert: x\n",
    "1.18",
    "1.19",
    "clustermesh.apiserver.tls.client.cert",
    Class::Lost
)]
#[case::ignored_so_far("envoy:\n  enabled: true\n", "1.13", "1.14", "envoy.enabled", Class::Conflict)]
#[case::both("routingMode: tunnel\ntunnel: disabled\n", "1.14", "1.15", "tunnel", Class::Conflict)]
#[case::no_such_word(
    "kubeProxyReplacement: probe\n",
    "1.12",
    "1.13",
    "kubeProxyReplacement",
    Class::Conflict
)]
#[case::image("image:\n  tag: v1.15.3\n", "1.15", "1.16", "image.tag", Class::Conflict)]
#[case::danger("cleanState: true\n", "1.15", "1.16", "cleanState", Class::Conflict)]
#[case::first_minor("debug:\n  enabled: true\n", "1.15", "1.16", "upgradeCompatibility", Class::Conflict)]
#[case::first_minor_without_quotes(
    "upgradeCompatibility: 1.10\n",
    "1.15",
    "1.16",
    "upgradeCompatibility",
    Class::Conflict
)]
fn decides(
    #[case] text: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] key: &str,
    #[case] expected: Class,
) {
    let rebased = go(text, from, to);
    assert_eq!(class(&rebased, key), Some(expected), "{:#?}", rebased.decisions);
    let attention = matches!(expected, Class::Lost | Class::Conflict);
    assert!(!attention || rebased.needs_attention());
}

#[rstest]
#[case::set(QUIET, "1.15", "1.16")]
#[case::each_value_is_set("envoy:\n  enabled: true\n", "1.15", "1.16")]
#[case::no_guard("debug:\n  enabled: true\n", "1.14", "1.15")]
fn needs_no_first_minor(#[case] text: &str, #[case] from: &str, #[case] to: &str) {
    let rebased = go(text, from, to);
    assert!(!rebased.needs_attention(), "{:#?}", rebased.decisions);
}

#[test]
fn disabled_features_stay_disabled() {
    let text = "kubeProxyReplacement: disabled\nnodePort:\n  enabled: true\n";
    assert_eq!(go(text, "1.14", "1.15").text, "kubeProxyReplacement: false\nnodePort:\n  enabled: false\n");
}

#[rstest]
#[case::manifest(
    "kind: ConfigMap\nmetadata:\n  name: cilium-config\n",
    "1:1: it is a ConfigMap; a ConfigMap is rebased without --values"
)]
#[case::other(
    "replicaCount: 1\n",
    "1:1: no value of Cilium's chart is in it; give a values file, or a HelmRelease with values"
)]
#[case::anchor("a: &x 1\nb: *x\n", "1:7: anchors and aliases are not supported: repeat the value")]
fn refuses(#[case] text: &str, #[case] message: &str) {
    let (from, to) = (version("1.15"), version("1.16"));
    let error = rebase(text, &Request { from: &from, to: &to, charts: None }).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn every_fact_is_about_a_value_of_its_minors() {
    let facts = facts::all();
    let ever = |path: &str| {
        crate::catalogue::lines()
            .iter()
            .any(|line| known::reads(&path::parse(path), line.minor, false, known::Chart(None)))
    };
    let gone = |path: &str| {
        !known::reads(
            &path::parse(path),
            crate::catalogue::lines().last().unwrap().minor,
            false,
            known::Chart(None),
        )
    };
    for moved in &facts.moved {
        assert!(ever(&moved.from) && gone(&moved.from), "{}", moved.from);
        assert!(moved.to.iter().all(|to| ever(to)), "{}", moved.from);
    }
    for removed in &facts.removed {
        assert!(ever(&removed.path) && gone(&removed.path), "{}", removed.path);
    }
    for default in &facts.defaults {
        assert!(
            known::reads(&path::parse(&default.path), default.into, false, known::Chart(None)),
            "{}",
            default.path
        );
    }
    for guard in &facts.guards {
        assert!(
            known::reads(&path::parse(&guard.path), guard.into, false, known::Chart(None)),
            "{}",
            guard.path
        );
    }
}

#[test]
fn an_empty_file_is_a_file_with_all_defaults() {
    let rebased = go("# nothing yet\n", "1.13", "1.14");
    assert!(
        rebased.text.starts_with("# nothing yet\n") && rebased.text.contains("minTtl: 3600"),
        "{}",
        rebased.text
    );
    assert_eq!(yaml::documents(&rebased.text).unwrap().len(), 1);
}

#[test]
fn values_of_the_charts_at_hand_are_known() {
    let (from, to) = (version("1.15"), version("1.16"));
    let (old, new) = (serde_json::json!({"vendor": {"mode": "a"}}), serde_json::json!({}));
    let text = "vendor:\n  mode: b\nupgradeCompatibility: \"1.15\"\n";
    let rebased = rebase(text, &Request { from: &from, to: &to, charts: Some((&old, &new)) }).unwrap();
    assert_eq!(class(&rebased, "vendor.mode"), Some(Class::Lost));
    assert_eq!(rebased.text, "upgradeCompatibility: \"1.15\"\n");
}
