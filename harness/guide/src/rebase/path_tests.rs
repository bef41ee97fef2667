//! Rebases over several minors: hop by hop and at once give the same file, and absence keeps its meaning.

use super::*;
use crate::{catalogue, options};
use proptest::prelude::*;
use rstest::rstest;
use std::collections::BTreeMap;

/// The latest patches of 1.6 and later.
fn stops() -> Vec<Version> {
    let lines = catalogue::lines().iter().filter(|line| line.minor >= model::Minor::new(1, 6));
    lines.map(|line| line.latest.clone()).collect()
}

/// Keys that belong together, and their values.
const RELATED: [(&str, &[&str]); 12] = [
    ("tunnel", &["disabled", "vxlan", "geneve"]),
    ("routing-mode", &["native", "tunnel"]),
    ("tunnel-protocol", &["vxlan", "geneve"]),
    ("kube-proxy-replacement", &["strict", "partial", "disabled", "true", "false"]),
    ("enable-node-port", &["true", "false"]),
    ("enable-host-reachable-services", &["true", "false"]),
    ("bpf-lb-sock", &["true", "false"]),
    ("enable-external-ips", &["true", "false"]),
    ("unmanaged-pod-watcher-interval", &["15", "0", "15s"]),
    ("enable-egress-gateway", &["true", "false"]),
    ("enable-ipv4-egress-gateway", &["true", "false"]),
    ("ipam", &["cluster-pool", "kubernetes", "eni"]),
];

fn related() -> impl Strategy<Value = (String, String)> {
    prop::sample::select(RELATED.to_vec()).prop_flat_map(|(key, values)| {
        prop::sample::select(values.to_vec()).prop_map(move |value| (key.to_owned(), value.to_owned()))
    })
}

fn any_option() -> impl Strategy<Value = (String, String)> {
    let names: Vec<&str> = options::all().iter().map(|option| option.name.as_str()).collect();
    let values = prop::sample::select(vec!["true", "false", "7", "5m0s", "text"]);
    (prop::sample::select(names), values).prop_map(|(key, value)| (key.to_owned(), value.to_owned()))
}

fn text(data: &BTreeMap<String, String>) -> String {
    let lines: String = data.iter().map(|(key, value)| format!("  {key}: {value:?}\n")).collect();
    format!("kind: ConfigMap\nmetadata:\n  name: cilium-config\ndata:\n  debug: \"false\"\n{lines}")
}

fn go(text: &str, from: &Version, to: &Version) -> Rebased {
    let request = Request { from, to, template: None, adopt: BTreeSet::new(), comments: false };
    rebase(text, &request).unwrap()
}

fn data(text: &str) -> BTreeMap<String, String> {
    let config = ConfigMap::read(text).unwrap();
    config.data().into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

proptest! {
    /// Any path of stops, up or down, gives the file of the direct rebase, and reports the same need for attention. A
    /// person settles a conflict before the next stop, and so the paths may differ after one.
    #[test]
    fn stops_on_the_way_change_nothing(
        own in prop::collection::btree_map(any::<u8>(), prop_oneof![related(), any_option()], 0..8),
        ends in (0..15_usize, 0..15_usize),
        taken in prop::collection::vec(any::<bool>(), 15),
    ) {
        let own: BTreeMap<_, _> = own.into_values().filter(|(key, _)| key != "debug").collect();
        let all = stops();
        let (low, high) = (ends.0.min(ends.1), ends.0.max(ends.1));
        let inner = (low..=high).filter(|at| *at == low || *at == high || taken[*at]);
        let mut path: Vec<_> = inner.map(|at| all[at].clone()).collect();
        if ends.0 > ends.1 {
            path.reverse();
        }
        let (Some(first), Some(last)) = (path.first(), path.last()) else { return Ok(()) };
        let start = text(&own);
        let direct = go(&start, first, last);
        let mut stepwise = start.clone();
        let mut attention = false;
        let open = |rebased: &Rebased| {
            rebased.decisions.iter().any(|decision| matches!(decision.class, Class::Conflict | Class::Lost))
        };
        for pair in path.windows(2) {
            let step = go(&stepwise, &pair[0], &pair[1]);
            attention |= open(&step);
            if step.decisions.iter().any(|decision| decision.class == Class::Conflict) {
                prop_assert!(open(&direct), "{:?} on {:?}", own, path);
                return Ok(());
            }
            stepwise = step.text;
        }
        if path.len() > 1 {
            prop_assert_eq!(data(&stepwise), data(&direct.text), "{:?} on {:?}", own, path);
            prop_assert_eq!(attention, open(&direct), "{:?} on {:?}", own, path);
        }
    }

    /// A key that stays absent has the same value before and after, where both are known.
    #[test]
    fn absence_keeps_its_meaning(at in 0..14_usize) {
        let all = stops();
        let (from, to) = (&all[at], &all[at + 1]);
        let rebased = go(&text(&BTreeMap::new()), from, to);
        let after = data(&rebased.text);
        let decided: BTreeSet<_> = rebased.decisions.iter().map(|decision| decision.key.as_str()).collect();
        for option in options::all() {
            let (old, new) = (option.without_key(from.minor()), option.without_key(to.minor()));
            let (true, Some(old), Some(new)) = (option.is_in(from.minor()) && option.is_in(to.minor()), old, new) else {
                continue;
            };
            let kept = options::same(&option.name, old, new) || after.contains_key(&option.name);
            let adopted = crate::keys::find(&option.name)
                .is_some_and(|key| matches!(key.when_changed, crate::keys::WhenChanged::Adopt));
            let related = kube_proxy::owns(&option.name);
            prop_assert!(kept || adopted || related || decided.contains(option.name.as_str()), "{}", option.name);
        }
    }
}

fn one(key: &str, value: &str, from: &str, to: &str) -> Rebased {
    let own = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    go(&text(&own), &from.parse().unwrap(), &to.parse().unwrap())
}

#[rstest]
#[case::native_routing("tunnel", "disabled", "1.13.18", "1.16.19", "routing-mode", Some("native"))]
#[case::native_routing_back("routing-mode", "native", "1.16.19", "1.13.18", "tunnel", Some("disabled"))]
#[case::protocol_back("tunnel-protocol", "geneve", "1.15.19", "1.13.18", "tunnel", Some("geneve"))]
#[case::predecessor_in_the_file("tunnel", "disabled", "1.13.18", "1.14.19", "routing-mode", None)]
#[case::words_back(
    "kube-proxy-replacement",
    "true",
    "1.15.19",
    "1.13.18",
    "kube-proxy-replacement",
    Some("strict")
)]
#[case::seconds(
    "unmanaged-pod-watcher-interval",
    "20",
    "1.18.14",
    "1.19.8",
    "unmanaged-pod-watcher-interval",
    Some("20s")
)]
#[case::seconds_back(
    "unmanaged-pod-watcher-interval",
    "1m0s",
    "1.19.8",
    "1.18.14",
    "unmanaged-pod-watcher-interval",
    Some("60")
)]
#[case::renamed(
    "enable-ipv4-egress-gateway",
    "true",
    "1.17.18",
    "1.19.8",
    "enable-egress-gateway",
    Some("true")
)]
#[case::renamed_back(
    "enable-egress-gateway",
    "true",
    "1.19.8",
    "1.17.18",
    "enable-ipv4-egress-gateway",
    Some("true")
)]
#[case::absent_default_changed("debug-x", "x", "1.13.18", "1.14.19", "tofqdns-min-ttl", Some("3600"))]
#[case::always_on_later("debug-x", "x", "1.19.8", "1.18.14", "enable-session-affinity", Some("true"))]
#[case::always_off_later("debug-x", "x", "1.10.20", "1.9.18", "blacklist-conflicting-routes", Some("false"))]
#[case::without_ipsec("debug-x", "x", "1.20.0", "1.19.8", "enable-ipsec-encrypted-overlay", None)]
#[case::with_ipsec(
    "enable-ipsec",
    "true",
    "1.20.0",
    "1.19.8",
    "enable-ipsec-encrypted-overlay",
    Some("true")
)]
#[case::known_to_the_older_release(
    "enable-bandwidth-manager",
    "true",
    "1.14.19",
    "1.13.18",
    "enable-bandwidth-manager",
    Some("true")
)]
fn keeps_the_meaning(
    #[case] key: &str,
    #[case] value: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] after: &str,
    #[case] expected: Option<&str>,
) {
    let rebased = one(key, value, from, to);
    assert_eq!(data(&rebased.text).get(after).map(String::as_str), expected, "{}", render::explain(&rebased));
}

#[rstest]
#[case::ipam("debug-x", "x", "1.8.13", "1.9.18", "ipam", Class::Conflict)]
#[case::probe(
    "kube-proxy-replacement",
    "probe",
    "1.12.19",
    "1.13.18",
    "kube-proxy-replacement",
    Class::Conflict
)]
#[case::node_port_alone("enable-node-port", "true", "1.18.14", "1.19.8", "enable-node-port", Class::Conflict)]
#[case::clean_state(
    "clean-cilium-state",
    "true",
    "1.15.19",
    "1.16.19",
    "clean-cilium-state",
    Class::Conflict
)]
#[case::remote_node(
    "enable-remote-node-identity",
    "false",
    "1.15.19",
    "1.16.19",
    "enable-remote-node-identity",
    Class::Lost
)]
#[case::session_affinity(
    "enable-session-affinity",
    "true",
    "1.18.14",
    "1.19.8",
    "enable-session-affinity",
    Class::Removed
)]
#[case::always_on_later("debug-x", "x", "1.18.14", "1.19.8", "enable-session-affinity", Class::Omitted)]
#[case::consul("kvstore", "consul", "1.16.19", "1.17.18", "kvstore", Class::Conflict)]
#[case::in_no_default("enable-wireguard", "true", "1.15.19", "1.16.19", "enable-wireguard", Class::Kept)]
#[case::misspelt("enable-wiregaurd", "true", "1.15.19", "1.16.19", "enable-wiregaurd", Class::Unknown)]
fn classifies(
    #[case] key: &str,
    #[case] value: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] about: &str,
    #[case] class: Class,
) {
    let rebased = one(key, value, from, to);
    let decision = rebased.decisions.iter().find(|decision| decision.key == about).unwrap();
    assert_eq!(decision.class, class, "{}", decision.why);
}

/// An option may reject an empty value although it had none before.
#[test]
fn pins_no_empty_value() {
    for pair in stops().windows(2) {
        for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let rebased = go(&text(&BTreeMap::new()), from, to);
            let pinned =
                rebased.decisions.iter().filter(|decision| decision.why.starts_with("without the key it is"));
            for decision in pinned {
                assert_ne!(decision.after.as_deref(), Some(""), "{from} to {to}: {}", decision.key);
            }
        }
    }
}

#[test]
fn a_replacement_that_is_set_otherwise_is_a_conflict() {
    let own = [("tunnel", "disabled"), ("routing-mode", "tunnel")];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let rebased = go(&text(&own), &"1.14.19".parse().unwrap(), &"1.15.19".parse().unwrap());
    let conflict = rebased.decisions.iter().find(|decision| decision.class == Class::Conflict).unwrap();
    assert_eq!((conflict.key.as_str(), conflict.after.as_deref()), ("tunnel", Some("disabled")));
    assert!(conflict.why.contains("routing-mode is set to \"tunnel\""), "{}", conflict.why);
}

#[test]
fn features_that_disabled_turned_off_stay_off() {
    let own = [("kube-proxy-replacement", "disabled"), ("enable-node-port", "true")];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let rebased = go(&text(&own), &"1.14.19".parse().unwrap(), &"1.15.19".parse().unwrap());
    let after = data(&rebased.text);
    assert_eq!(after["kube-proxy-replacement"], "false");
    assert_eq!(after["enable-node-port"], "false");
}

#[test]
fn doubts_a_version_that_the_file_does_not_match() {
    let text = Template::built_in(&"1.16.19".parse().unwrap()).manifest();
    let doubt = |from: &str| go(&text, &from.parse().unwrap(), &"1.18.14".parse().unwrap()).doubt;
    assert_eq!(doubt("1.16.19"), None);
    assert!(doubt("1.13.18").unwrap().contains("check --from"));
    assert!(doubt("1.18.14").is_some());
}

#[test]
fn refuses_the_configmap_of_another_program() {
    let text = "kind: ConfigMap\nmetadata:\n  name: coredns\ndata:\n  Corefile: |\n    .:53 {}\n";
    let (from, to) = ("1.15.19".parse().unwrap(), "1.16.19".parse().unwrap());
    let request = Request { from: &from, to: &to, template: None, adopt: BTreeSet::new(), comments: false };
    let error = rebase(text, &request).unwrap_err().to_string();
    assert_eq!(
        error,
        "1:1: the ConfigMap coredns is not Cilium's: 0 of its 1 keys are known; give cilium-config"
    );
}
