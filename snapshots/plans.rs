//! Plans of every transition, up and down, and of patch releases.

use std::collections::BTreeSet;

use guide::plan::render;
use guide::policy::Feature;
use guide::{ConfigMap, Facts, Options, plan, plan_for, plan_with};
use insta::assert_snapshot;
use model::Minor;

use crate::{hops, version};

#[test]
fn up() {
    for (from, to) in hops() {
        let plan = plan(&from, &to).expect("a plan");
        assert_snapshot!(format!("{}-{}", from.minor(), to.minor()), render::text(&plan));
    }
}

#[test]
fn down() {
    for (from, to) in hops() {
        let plan = plan_with(&to, &from, Options { downgrade: true, direct: false }).expect("a plan");
        assert_snapshot!(format!("{}-{}", to.minor(), from.minor()), render::text(&plan));
    }
}

#[test]
fn patches() {
    for (from, to) in [("1.5.3", "1.5.13"), ("1.6.3", "1.6.12"), ("1.7.0", "1.7.1"), ("1.16.2", "1.16.19")] {
        let plan = plan(&version(from), &version(to)).expect("a plan");
        assert_snapshot!(format!("{from}-{to}"), render::text(&plan));
    }
}

#[test]
fn staged_for_a_known_cluster() {
    let text =
        "kind: ConfigMap\ndata:\n  tunnel: vxlan\n  kvstore: etcd\n  enable-legacy-services: \"true\"\n";
    let config = ConfigMap::read(text).expect("a ConfigMap");
    let policies = BTreeSet::from([Feature::L7Rules, Feature::FqdnName]);
    let facts = Facts {
        config: Some(&config),
        policies: Some(&policies),
        kernel: Some("4.9".parse().expect("a kernel")),
        kubernetes: Some(Minor::new(1, 13)),
        previously: Some(Minor::new(1, 5)),
        available: None,
        budgets: None,
    };
    let plan = plan_for(&version("1.1.3"), &version("1.6.4"), Options::default(), &facts).expect("a plan");
    assert_snapshot!(render::text(&plan));
}

#[test]
fn markdown() {
    let plan = plan(&version("1.5.3"), &version("1.6.4")).expect("a plan");
    assert_snapshot!(render::markdown(&plan));
}

#[test]
fn json() {
    let plan = plan(&version("1.5.13"), &version("1.6.4")).expect("a plan");
    assert_snapshot!(serde_json::to_string_pretty(&plan).expect("JSON"));
}
