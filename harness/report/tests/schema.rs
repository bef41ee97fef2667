//! The published schemas are up to date, and recorded run folders match them.

#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on should panic")]

use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;
use serde_json::Value;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn validator(name: &str) -> jsonschema::Validator {
    let (_, schema) = report::schema::all().into_iter().find(|(other, _)| *other == name).unwrap();
    jsonschema::validator_for(schema.as_value()).unwrap()
}

fn check(schema: &str, what: &Path, text: &str) {
    let value: Value = serde_json::from_str(text).unwrap();
    let validator = validator(schema);
    let errors: Vec<_> =
        validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}: {errors:?}", what.display());
}

/// Set `UPDATE_SCHEMAS=1` to write the files anew.
#[test]
fn published_schemas_are_up_to_date() {
    for (name, schema) in report::schema::all() {
        let path = folder("schemas").join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let published = fs::read_to_string(&path).unwrap_or_default();
        assert!(published == text, "{} is out of date: run with UPDATE_SCHEMAS=1", path.display());
    }
}

#[rstest]
#[case::eight_outages("eight-outages")]
#[case::upgrade_and_rollback("upgrade-and-rollback")]
#[case::failed_trial("failed-trial")]
fn recorded_run_folders_match_the_schemas(#[case] name: &str) {
    let folder = folder("tests/recorded").join(name);
    let read = |name: &str| fs::read_to_string(folder.join(name));
    check("run", &folder.join("run.json"), &read("run.json").unwrap());
    for line in read("events.jsonl").unwrap().lines() {
        check("event", &folder.join("events.jsonl"), line);
    }
    if let Ok(trial) = read("trial.json") {
        check("trial", &folder.join("trial.json"), &trial);
    }
}

#[rstest]
#[case::unknown_verdict("/verdict", "great".into())]
#[case::other_schema("/schema", "seatrial/run/v2".into())]
#[case::time_as_text("/elapsed_ms", "3 s".into())]
#[case::unknown_layer("/flows/0/layer", "L5".into())]
fn a_schema_refuses_what_is_not_a_record(#[case] at: &str, #[case] value: Value) {
    let text = fs::read_to_string(folder("tests/recorded/eight-outages/run.json")).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    assert!(validator("run").is_valid(&record));
    *record.pointer_mut(at).unwrap() = value;
    assert!(!validator("run").is_valid(&record));
}
