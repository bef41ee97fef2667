//! Rebases of values files in the style of real clusters, hop by hop from the minor that each was written for.

use guide::rebase::render as form;
use guide::values::{Request, rebase, render};
use insta::assert_snapshot;

use crate::version;

/// Shows what happens to each value and to each line, and whether a person must decide.
fn show(text: &str, from: &str, to: &str) -> String {
    let (from, to) = (version(from), version(to));
    let rebased = rebase(text, &Request { from: &from, to: &to, charts: None }).expect("a rebase");
    let diff = form::diff("values.yaml", text, &rebased.text);
    let kept = |line: &&str| !line.contains("  kept  ");
    let explained: Vec<_> = render::explain(&rebased).lines().filter(kept).map(str::to_owned).collect();
    let attention = if rebased.needs_attention() { "needs attention" } else { "passed" };
    format!("{}; {attention}\n\n{}\n\n{diff}", render::summary(&rebased), explained.join("\n"))
}

#[test]
fn clusters() {
    for (name, text, from, to) in [
        ("kube-proxy-free", include_str!("values/kube-proxy-free.yaml"), "1.12", "1.16"),
        ("aws-eni", include_str!("values/aws-eni.yaml"), "1.13", "1.18"),
        ("hubble", include_str!("values/hubble.yaml"), "1.13", "1.20"),
        ("clustermesh", include_str!("values/clustermesh.yaml"), "1.15", "1.19"),
        ("encryption", include_str!("values/encryption.yaml"), "1.15", "1.20"),
        ("old-names", include_str!("values/old-names.yaml"), "1.9", "1.13"),
        ("flux", include_str!("values/flux.yaml"), "1.16", "1.17"),
        ("gateway", include_str!("values/gateway.yaml"), "1.16", "1.20"),
        ("bgp", include_str!("values/bgp.yaml"), "1.14", "1.17"),
        ("scheduling", include_str!("values/scheduling.yaml"), "1.15", "1.18"),
    ] {
        assert_snapshot!(format!("{name}-{from}-{to}"), show(text, from, to));
    }
}

#[test]
fn clusters_back() {
    for (name, text, from, to) in [
        ("gateway", include_str!("values/gateway.yaml"), "1.16", "1.15"),
        ("kube-proxy-free-back", "kubeProxyReplacement: true\nroutingMode: native\n", "1.15", "1.13"),
    ] {
        assert_snapshot!(format!("{name}-{from}-{to}"), show(text, from, to));
    }
}
