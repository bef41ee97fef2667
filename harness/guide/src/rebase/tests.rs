//! The guide's own example, and the shapes that files come in.

use super::*;
use rstest::rstest;

/// The guide's export, before.
const EXPORT: &str = include_str!("testdata/guide-export.yaml");
/// The file as the guide edits it by hand.
const BY_HAND: &str = include_str!("testdata/guide-rebased.yaml");

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn request<'a>(from: &'a Version, to: &'a Version) -> Request<'a> {
    Request { from, to, template: None, adopt: BTreeSet::new(), comments: false }
}

fn run(text: &str, from: &str, to: &str) -> Rebased {
    rebase(text, &request(&version(from), &version(to))).unwrap()
}

fn with_data(data: &str) -> String {
    format!("kind: ConfigMap\nmetadata:\n  name: cilium-config\ndata:\n{data}")
}

fn lines_only_in<'a>(these: &[&'a str], those: &[&str]) -> Vec<&'a str> {
    these.iter().copied().filter(|line| !those.contains(line)).collect()
}

#[test]
fn reproduces_the_guides_example_apart_from_its_two_slips() {
    let template = Template::read(include_str!("testdata/guide-template.yaml")).unwrap();
    let (from, to) = (version("1.1.6"), version("1.6.4"));
    let request = Request { template: Some(&template), comments: true, ..request(&from, &to) };
    let rebased = rebase(EXPORT, &request).unwrap();
    let ours: Vec<_> = rebased.text.lines().collect();
    let guides: Vec<_> = BY_HAND.lines().collect();
    // Slip 1: the required keys of 1.6 are missing. Slip 2: disable-ipv4 stays, which 1.4 renamed.
    assert_eq!(
        lines_only_in(&ours, &guides),
        [
            "  enable-ipv4: \"true\"",
            "  kvstore: \"etcd\"",
            "  kvstore-opt: '{\"etcd.config\": \"/var/lib/etcd-config/etcd.config\"}'",
        ]
    );
    // The guide also keeps two lines that only the API server may write.
    assert_eq!(
        lines_only_in(&guides, &ours),
        [
            "  disable-ipv4: \"false\"",
            "  creationTimestamp: null",
            "  selfLink: /api/v1/namespaces/kube-system/configmaps/cilium-config",
        ]
    );
    let comment = ours.iter().position(|line| line.contains("# If you want to clean")).unwrap();
    assert_eq!(ours[comment + 1], "  clean-cilium-state: \"false\"");
    assert!(rebased.text.contains("  monitor-aggregation: \"medium\"\n"));
    let start = BY_HAND.find("  etcd-config").unwrap();
    let block = &BY_HAND[start..BY_HAND.find("kind:").unwrap()];
    assert!(rebased.text.contains(block));
}

#[test]
fn adds_only_what_is_new_to_the_default_of_1_5() {
    let before = with_data("  debug: \"false\"  # mine\n  monitor-aggregation: none\n  tunnel: 'vxlan'\n");
    let expected = with_data(concat!(
        "  debug: \"false\"  # mine\n",
        "  enable-node-port: \"false\"\n",
        "  identity-allocation-mode: \"kvstore\"\n",
        "  kvstore: \"etcd\"\n",
        "  kvstore-opt: '{\"etcd.config\": \"/var/lib/etcd-config/etcd.config\"}'\n",
        "  monitor-aggregation: none\n",
        "  tunnel: 'vxlan'\n",
    ));
    assert_eq!(run(&before, "1.5.13", "1.6.4").text, expected);
}

#[test]
fn there_and_back_again_changes_nothing() {
    let before = with_data("  debug: \"true\"\n  # ours\n  a: |+\n    x\n    # y\n\n  tunnel: vxlan\n");
    let up = run(&before, "1.5.13", "1.6.12");
    assert_ne!(up.text, before);
    assert_eq!(run(&up.text, "1.6.12", "1.5.13").text, before);
}

#[rstest]
#[case::negated("disable-ipv4: 'false'", "1.3.8", "1.4.10", Class::Inverted, "  enable-ipv4: 'true'\n")]
#[case::renamed(
    "monitor-aggregation-level: \"none\" # c",
    "1.4.10",
    "1.5.13",
    Class::Renamed,
    "  monitor-aggregation: \"none\" # c\n"
)]
#[case::renamed_back(
    "enable-ipv4: plain-true",
    "1.4.10",
    "1.3.8",
    Class::Conflict,
    "  enable-ipv4: plain-true\n"
)]
#[case::required_value(
    "ct-global-max-entries-tcp: '5'",
    "1.4.10",
    "1.5.13",
    Class::Required,
    "  bpf-ct-global-tcp-max: '1000000'\n"
)]
#[case::not_from_1_4(
    "ct-global-max-entries-tcp: '5'",
    "1.2.8",
    "1.5.13",
    Class::Renamed,
    "  bpf-ct-global-tcp-max: '5'\n"
)]
#[case::removed("legacy-host-allows-world: \"false\"", "1.4.10", "1.5.13", Class::Removed, "data:\n")]
#[case::default_flipped(
    "monitor-aggregation: none",
    "1.5.13",
    "1.6.4",
    Class::DefaultFlipped,
    "  monitor-aggregation: none\n"
)]
#[case::own_kvstore("kvstore: consul", "1.5.13", "1.6.4", Class::Kept, "  kvstore: consul\n")]
#[case::deprecated(
    "enable-legacy-services: \"true\"",
    "1.5.13",
    "1.6.4",
    Class::Deprecated,
    "  enable-legacy-services: \"true\"\n"
)]
#[case::split("tunnel: geneve", "1.14.19", "1.15.19", Class::Removed, "  tunnel-protocol: \"geneve\"\n")]
#[case::same_key(
    "kube-proxy-replacement: strict",
    "1.14.19",
    "1.15.19",
    Class::Replaced,
    "  kube-proxy-replacement: \"true\"\n"
)]
#[case::unknown("my-key: x", "1.5.13", "1.6.4", Class::Unknown, "  my-key: x\n")]
fn classifies(
    #[case] line: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] class: Class,
    #[case] contains: &str,
) {
    let rebased = run(&with_data(&format!("  {line}\n")), from, to);
    assert_eq!(rebased.decisions[0].class, class);
    assert!(rebased.text.contains(contains), "{}", rebased.text);
}

#[test]
fn shows_a_conflict_and_leaves_both_keys() {
    let before = with_data("  debug: \"x\"\n  disable-ipv4: \"true\"\n  enable-ipv4: \"true\"\n");
    let rebased = run(&before, "1.3.8", "1.4.10");
    let conflict = rebased.decisions.iter().find(|decision| decision.class == Class::Conflict).unwrap();
    assert_eq!(conflict.why, "enable-ipv4 replaces it and is set to \"true\": remove the one that is wrong");
    assert!(rebased.text.contains("  disable-ipv4: \"true\"\n  enable-ipv4: \"true\"\n"));
}

#[test]
fn adopts_a_default_when_asked() {
    let (from, to) = (version("1.5.13"), version("1.6.4"));
    let adopt = BTreeSet::from(["monitor-aggregation".to_owned(), "identity-allocation-mode".to_owned()]);
    let request = Request { adopt, ..request(&from, &to) };
    let text = rebase(&with_data("  monitor-aggregation: 'none'\n"), &request).unwrap().text;
    assert!(text.contains("  monitor-aggregation: 'medium'\n"));
    assert!(text.contains("  identity-allocation-mode: \"crd\"\n"));
}

#[rstest]
#[case::crlf(
    "kind: ConfigMap\r\ndata:\r\n  debug: \"x\"\r\n",
    "kind: ConfigMap\r\ndata:\r\n  debug: \"x\"\r\n  kvstore: \"etcd\"\r\n"
)]
#[case::no_final_newline(
    "kind: ConfigMap\ndata:\n  debug: x",
    "kind: ConfigMap\ndata:\n  debug: x\n  kvstore: \"etcd\""
)]
#[case::block_at_the_end(
    "kind: ConfigMap\ndata:\n  debug: |\n    x",
    "kind: ConfigMap\ndata:\n  kvstore: \"etcd\"\n  debug: |\n    x"
)]
#[case::wide_character_at_the_end(
    "kind: ConfigMap\ndata:\n  debug: |-\n    ü",
    "kind: ConfigMap\ndata:\n  kvstore: \"etcd\"\n  debug: |-\n    ü"
)]
#[case::list(
    "items:\n- kind: ConfigMap\n  data:\n      debug: |+\n        x\n\n\n      z: ''\n  metadata:\n    uid: 1\n",
    "items:\n- kind: ConfigMap\n  data:\n      debug: |+\n        x\n\n\n      kvstore: \"etcd\"\n      z: ''\n  metadata:\n"
)]
#[case::server_metadata(
    "kind: ConfigMap\nmetadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: |\n      {}\n  name: a\n  uid: x\ndata:\n  debug: x\n",
    "kind: ConfigMap\nmetadata:\n  name: a\ndata:\n  debug: x\n  kvstore: \"etcd\"\n"
)]
fn edits_in_place(#[case] before: &str, #[case] after: &str) {
    let template = Template::read("kind: ConfigMap\ndata: \n  debug: ''\n  kvstore-opt: ''\n").unwrap();
    let (from, to) = (version("1.5.13"), version("1.6.4"));
    let request = Request { template: Some(&template), ..request(&from, &to) };
    let text = rebase(before, &request).unwrap().text;
    let others = |line: &&str| !line.contains("kvstore-opt");
    assert_eq!(
        text.split_inclusive('\n').filter(others).collect::<String>().trim_end_matches('\n'),
        after.trim_end_matches('\n')
    );
}
