//! Findings in every output form.

use guide::lint::{Change, Report, Source, lint, render};
use insta::assert_snapshot;

use crate::version;

fn report() -> Report {
    let change =
        Change { from: version("1.3"), to: version("1.6"), kernel: Some("4.9".parse().expect("a kernel")) };
    let sources = [
        Source { file: "policies/all.yaml", text: include_str!("policies/all.yaml") },
        Source { file: "rules.yaml", text: include_str!("policies/rules.yaml") },
        Source { file: "old-form.json", text: include_str!("policies/old-form.json") },
    ];
    lint(&sources, &change)
}

#[test]
fn text() {
    assert_snapshot!(render::text(&report()));
}

#[test]
fn github() {
    assert_snapshot!(render::github(&report()));
}

#[test]
fn sarif() {
    let log = render::sarif(&report(), "0.0.0");
    assert_snapshot!(serde_json::to_string_pretty(&log).expect("JSON"));
}

#[test]
fn json() {
    assert_snapshot!(serde_json::to_string_pretty(&report()).expect("JSON"));
}
