//! Rebases of the default ConfigMap of every minor, and of ConfigMaps that are awkward to edit.

use std::collections::BTreeSet;

use guide::rebase::{Request, Template, rebase, render};
use insta::assert_snapshot;
use model::Version;

use crate::{hops, version};

/// Shows what happens to each key and to each line.
fn show(text: &str, from: &Version, to: &Version) -> String {
    let request = Request { from, to, template: None, adopt: BTreeSet::new(), comments: false };
    let rebased = rebase(text, &request).expect("a rebase");
    let diff = render::diff("cilium-config.yaml", text, &rebased.text);
    // Line ends would be lost in a snapshot.
    let diff = diff.replace('\r', "␍");
    format!("{}\n\n{}\n{diff}", render::summary(&rebased), render::explain(&rebased))
}

#[test]
fn defaults() {
    for (from, to) in hops() {
        let text = Template::built_in(&from).manifest();
        assert_snapshot!(format!("{}-{}", from.minor(), to.minor()), show(&text, &from, &to));
    }
}

#[test]
fn defaults_back() {
    for (from, to) in hops() {
        let text = Template::built_in(&to).manifest();
        assert_snapshot!(format!("{}-{}", to.minor(), from.minor()), show(&text, &to, &from));
    }
}

#[test]
fn awkward() {
    let crlf = include_str!("configmaps/comments.yaml").replace('\n', "\r\n");
    for (name, text) in [
        ("tls-etcd-config", include_str!("configmaps/tls-etcd-config.yaml")),
        ("comments-everywhere", include_str!("configmaps/comments.yaml")),
        ("crlf", crlf.as_str()),
        ("list-indented-by-four", include_str!("configmaps/list.yaml")),
        ("unknown-keys", include_str!("configmaps/unknown-keys.yaml")),
    ] {
        for (from, to) in [("1.4", "1.5"), ("1.5", "1.6")] {
            assert_snapshot!(format!("{name}-{from}-{to}"), show(text, &version(from), &version(to)));
        }
    }
}
