//! What people read when something cannot be done.

use guide::lint::RuleId;
use guide::{ConfigMap, Options, plan_with, resolve};
use insta::assert_snapshot;
use model::VersionSpec;

use crate::version;

#[test]
fn versions() {
    let mut lines = Vec::new();
    for text in ["latest", "1", "1.5-rc1", "1.6.99", "1.42", "0.9"] {
        let error = match text.parse::<VersionSpec>() {
            Ok(spec) => resolve(&spec).expect_err("an unknown version").to_string(),
            Err(error) => error.to_string(),
        };
        lines.push(error);
    }
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn plans() {
    let refused = |from, to, options| {
        plan_with(&version(from), &version(to), options).expect_err("no plan").to_string()
    };
    let direct = Options { direct: true, downgrade: false };
    let lines = [
        refused("1.5.13", "1.5.13", Options::default()),
        refused("1.6.4", "1.5.13", Options::default()),
        refused("1.1.6", "1.6.4", direct),
        refused("1.14.1", "1.17.2", direct),
    ];
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn configmaps() {
    let texts = [
        "",
        "kind: Secret\n",
        "kind: ConfigMap\n",
        "kind: ConfigMap\ndata:\n  debug: true\n",
        "kind: ConfigMap\ndata:\n  debug: \"true\"\n  debug: \"false\"\n",
        "kind: ConfigMap\ndata:\n  debug: &a \"true\"\n",
        "kind: ConfigMap\ndata:\n  debug: [\n",
        "{\"kind\": \"ConfigMap\", \"data\": {\"debug\": \"true\"}}",
    ];
    let lines = texts.map(|text| ConfigMap::read(text).expect_err("an error").to_string());
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn rules() {
    assert_snapshot!("prefix-length".parse::<RuleId>().expect_err("no rule").to_string());
}
