//! The published schemas are those of the code, and documents and data files keep to them.

#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on should panic")]

use std::fs;
use std::path::PathBuf;

use guide::{Options, catalogue, plan_with};
use serde_json::Value;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn validator(name: &str) -> jsonschema::Validator {
    let (_, schema) = guide::schema::all().into_iter().find(|(other, _)| *other == name).unwrap();
    jsonschema::validator_for(schema.as_value()).unwrap()
}

fn check(validator: &jsonschema::Validator, what: &str, value: &Value) {
    let errors: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{what}: {errors:?}");
}

/// Set `UPDATE_SCHEMAS=1` to write the files anew.
#[test]
fn published_schemas_are_up_to_date() {
    for (name, schema) in guide::schema::all() {
        let path = folder("schemas").join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let published = fs::read_to_string(&path).unwrap();
        assert!(published == text, "{} is out of date: run with UPDATE_SCHEMAS=1", path.display());
    }
}

#[test]
fn data_files_keep_to_their_schemas() {
    let mut checked = 0;
    for entry in fs::read_dir(folder("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let stem = path.file_stem().unwrap().to_str().unwrap().replace("keys-1.7", "keys");
        let value: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        check(&validator(&format!("data-{stem}")), &stem, &value);
        checked += 1;
    }
    assert_eq!(checked, 15);
}

/// Plans of all pairs of known releases, both ways; the routes themselves are checked beside the planner.
#[test]
fn every_plan_keeps_to_its_schema() {
    let validator = validator("plan");
    let versions: Vec<_> = catalogue::lines().iter().map(|line| &line.latest).collect();
    for from in &versions {
        for to in versions.iter().filter(|to| *to != from) {
            let plan = plan_with(from, to, Options { downgrade: true, direct: false }).unwrap();
            check(&validator, &format!("{from} to {to}"), &serde_json::to_value(&plan).unwrap());
        }
    }
}

#[test]
fn a_schema_refuses_what_is_not_a_plan() {
    let plan = guide::plan(&"1.5.13".parse().unwrap(), &"1.6.4".parse().unwrap()).unwrap();
    let mut value = serde_json::to_value(&plan).unwrap();
    value["stages"][0]["direction"] = "sideways".into();
    assert!(!validator("plan").is_valid(&value));
}
