//! Whole files against whole changes of version.

use super::*;
use rstest::rstest;

fn run(text: &str, from: &str, to: &str, kernel: Option<&str>) -> Vec<String> {
    let change = Change {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        kernel: kernel.map(|kernel| kernel.parse().unwrap()),
    };
    let report = lint(&[Source { file: "p.yaml", text }], &change);
    report.findings.iter().map(|f| format!("{}:{} {:?} {}", f.line, f.column, f.level, f.rule)).collect()
}

fn policy(rule: &str) -> String {
    format!("kind: CiliumNetworkPolicy\nmetadata: {{name: p}}\nspec:\n  endpointSelector: {{}}\n{rule}\n")
}

#[rstest]
#[case::fqdn("  egress: [{toFQDNs: [{matchName: a.b}]}]", "1.3.8", "1.5.13", "5:35 Error dns-polling")]
#[case::fqdn_after_the_poller(
    "  egress: [{toFQDNs: [{matchName: a.b}]}]",
    "1.8.13",
    "1.9.18",
    "5:35 Warning dns-polling"
)]
#[case::fqdn_unsupported(
    "  egress: [{toFQDNs: [{matchName: a.b}]}]",
    "1.2.8",
    "1.1.6",
    "5:35 Error unsupported-feature"
)]
#[case::zero("  egress: [{toCIDR: [0.0.0.0/0]}]", "1.1.6", "1.0.7", "5:22 Error unsupported-feature")]
#[case::ignored(
    "  egress: [{toFQDNs: [{matchPattern: \"*\"}]}]",
    "1.4.10",
    "1.3.8",
    "5:38 Warning unsupported-feature"
)]
#[case::container(
    "  ingress: [{fromEndpoints: [{matchLabels: {\"container:a\": b}}]}]",
    "1.5.13",
    "1.6.4",
    "5:45 Warning container-labels"
)]
#[case::container_gone(
    "  ingress: [{fromEndpoints: [{matchLabels: {\"container:a\": b}}]}]",
    "1.6.12",
    "1.7.16",
    "5:45 Error container-labels"
)]
#[case::world("  ingress: [{fromEndpoints: [{}]}]", "1.0.7", "1.1.6", "5:12 Warning host-vs-world")]
#[case::remote_node("  ingress: [{fromEntities: [host]}]", "1.6.12", "1.7.16", "5:29 Warning remote-node")]
#[case::invalid("  egress: [{toCIDR: [10.0.0.0/33]}]", "1.5.13", "1.6.4", "5:22 Error invalid-cidr")]
fn finds(#[case] rule: &str, #[case] from: &str, #[case] to: &str, #[case] finding: &str) {
    assert_eq!(run(&policy(rule), from, to, Some("4.19")), [finding]);
}

#[rstest]
#[case::fqdn_with_dns(
    "  egress: [{toFQDNs: [{matchName: a.b}]}, {toPorts: [{rules: {dns: [{matchPattern: \"*\"}]}}]}]",
    "1.3.8",
    "1.5.13"
)]
#[case::world_allowed("  ingress: [{fromEntities: [world]}]", "1.0.7", "1.1.6")]
#[case::same_minor("  ingress: [{fromEndpoints: [{matchLabels: {\"container:a\": b}}]}]", "1.6.3", "1.6.12")]
fn is_silent(#[case] rule: &str, #[case] from: &str, #[case] to: &str) {
    assert_eq!(run(&policy(rule), from, to, Some("4.19")), Vec::<String>::new());
}

/// Policies whose prefixes have the lengths 9 to 9 + count - 1.
fn with_lengths(count: u8) -> String {
    let cidrs: Vec<_> = (9..9 + count).map(|length| format!("10.0.0.0/{length}")).collect();
    policy(&format!("  egress: [{{toCIDR: [{}]}}]", cidrs.join(", ")))
}

#[rstest]
#[case::at_the_limit(15, "1.5.13", Some("4.9"), None)]
#[case::over(16, "1.5.13", Some("4.9"), Some(Level::Error))]
#[case::more_room_in_1_1(16, "1.1.6", Some("4.9"), None)]
#[case::over_in_1_1(18, "1.1.6", Some("4.9"), Some(Level::Error))]
#[case::unknown_kernel(16, "1.5.13", None, Some(Level::Note))]
#[case::new_kernel(16, "1.5.13", Some("4.11"), None)]
fn limits_prefix_lengths(
    #[case] lengths: u8,
    #[case] to: &str,
    #[case] kernel: Option<&str>,
    #[case] level: Option<Level>,
) {
    let expected: Vec<_> = level.map(|level| format!("{level:?} prefix-lengths")).into_iter().collect();
    let found = run(&with_lengths(lengths), to, to, kernel);
    let found: Vec<_> = found.iter().map(|finding| finding.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(found, expected);
}

#[test]
fn repeats_the_agents_message_and_computes_advice() {
    let change = Change {
        from: "1.1.6".parse().unwrap(),
        to: "1.2.8".parse().unwrap(),
        kernel: Some("4.9".parse().unwrap()),
    };
    let text = with_lengths(16);
    let report = lint(&[Source { file: "p.yaml", text: &text }], &change);
    assert_eq!(
        report.findings[0].message,
        "1.2.8 rejects policy p on kernel 4.9: Adding specified prefixes would result in too many \
         prefix lengths (current: 3, result: 19, max: 18)"
    );
    assert_eq!(
        report.findings[0].help,
        "split 10.0.0.0/9 into its 2 /10 prefixes; or upgrade the kernel to 4.11 or later"
    );
}

#[test]
fn an_unreadable_file_is_a_finding_and_the_others_are_checked() {
    let change = Change { from: "1.5.13".parse().unwrap(), to: "1.6.4".parse().unwrap(), kernel: None };
    let good = policy("  egress: [{toCIDR: [x]}]");
    let sources = [Source { file: "good.yaml", text: &good }, Source { file: "bad.yaml", text: "a: b: c\n" }];
    let report = lint(&sources, &change);
    let found: Vec<_> = report.findings.iter().map(|f| format!("{}:{} {}", f.file, f.line, f.rule)).collect();
    assert_eq!(found, ["bad.yaml:1 unreadable-file", "good.yaml:5 invalid-cidr"]);
    assert_eq!(report.policies, 1);
}

/// A policy with names, and another one with a DNS rule for some pods.
fn with_dns(selector: &str, namespace: &str) -> String {
    let names = "kind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  endpointSelector: {matchLabels: {app: a, tier: b}}\n  egress: [{toFQDNs: [{matchName: a.b}]}]\n";
    let dns = format!(
        "---\nkind: CiliumNetworkPolicy\nmetadata: {{name: dns{namespace}}}\nspec:\n  endpointSelector: {selector}\n  egress: [{{toPorts: [{{rules: {{dns: [{{matchPattern: \"*\"}}]}}}}]}}]\n"
    );
    format!("{names}{dns}")
}

#[rstest]
#[case::same_pods("{matchLabels: {app: a, tier: b}}", ", namespace: shop", 0)]
#[case::more_pods("{matchLabels: {app: a}}", ", namespace: shop", 0)]
#[case::all_pods("{}", ", namespace: shop", 0)]
#[case::the_whole_cluster("{}", "", 0)]
#[case::the_namespace_by_label("{matchLabels: {\"k8s:io.kubernetes.pod.namespace\": shop}}", "", 0)]
#[case::other_pods("{matchLabels: {app: c}}", ", namespace: shop", 1)]
#[case::other_namespace("{}", ", namespace: other", 1)]
fn a_dns_rule_counts_for_all_pods_that_it_selects(
    #[case] selector: &str,
    #[case] namespace: &str,
    #[case] found: usize,
) {
    assert_eq!(run(&with_dns(selector, namespace), "1.3.8", "1.5.13", Some("4.19")).len(), found);
}

#[rstest]
#[case::new_field("  ingress: [{fromNodes: [{}]}]", "1.16.19", "1.15.19", "5:14 Error unsupported-feature")]
#[case::new_value(
    "  egress: [{toEntities: [kube-apiserver]}]",
    "1.11.20",
    "1.10.20",
    "5:26 Error unsupported-feature"
)]
#[case::removed("  ingress: [{fromRequires: [{}]}]", "1.18.14", "1.19.8", "5:14 Error removed-field")]
#[case::top_level(
    "  enableDefaultDeny: {egress: false}",
    "1.16.19",
    "1.15.19",
    "5:3 Error unsupported-feature"
)]
fn finds_fields(#[case] rule: &str, #[case] from: &str, #[case] to: &str, #[case] finding: &str) {
    assert_eq!(run(&policy(rule), from, to, Some("5.10")), [finding]);
}

#[test]
fn labels_named_like_fields_are_no_fields() {
    let rule = "  ingress: [{fromEndpoints: [{matchLabels: {log: x, icmps: y}}]}]";
    assert_eq!(run(&policy(rule), "1.18.14", "1.10.20", Some("5.10")), Vec::<String>::new());
}

#[test]
fn reads_dashboards_inside_a_configmap() {
    let text = "kind: ConfigMap\ndata:\n  l7.json: '{\"panels\": [{\"targets\": [{\"expr\": \"policy_l7_denied_total\"}]}]}'\n";
    assert_eq!(run(text, "1.5.13", "1.6.4", None), ["3:12 Warning deprecated-metrics"]);
}
