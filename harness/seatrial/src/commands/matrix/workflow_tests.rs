//! The committed workflows and scripts agree with the commands: nothing in them is kept by hand.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use regex::Regex;
use rstest::rstest;
use serde_json::Value;

use super::{Args, Output};
use crate::cli::Cli;
use crate::scenario::planned;
use crate::subjects::SubjectName;

const NIGHTLY: &str = ".github/workflows/nightly.yml";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn workflow() -> Value {
    serde_saphyr::from_str(&text(NIGHTLY)).unwrap()
}

fn found(pattern: &str, text: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// The command that makes the jobs, with what it prints.
fn jobs() -> Vec<Value> {
    let steps = workflow()["jobs"]["plan"]["steps"].clone();
    let step = steps.as_array().unwrap().iter().find(|step| step["id"] == "matrix").unwrap().clone();
    let [command] = &found(r"\$\(\S*(seatrial matrix [^)]*)\)", step["run"].as_str().unwrap())[..] else {
        panic!("the step does not run `seatrial matrix`: {step}")
    };
    assert!(Cli::try_parse_from(command.split(' ')).is_ok(), "`{command}` is no command");
    assert!(command.ends_with("--output github"), "{command}");
    let args = Args {
        shard: None,
        shards: None,
        subject: SubjectName::Standin,
        charts: None,
        output: Output::Github,
    };
    let mut out = Vec::new();
    super::run(&args, &mut out).unwrap();
    let printed: Value = serde_json::from_slice(&out).unwrap();
    printed["include"].as_array().unwrap().clone()
}

#[test]
fn jobs_are_what_the_command_prints() {
    let workflow = workflow();
    let (plan, shard) = (&workflow["jobs"]["plan"], &workflow["jobs"]["shard"]);
    assert_eq!(plan["outputs"]["matrix"], "${{ steps.matrix.outputs.matrix }}");
    assert_eq!(shard["needs"], "plan");
    assert_eq!(shard["strategy"]["matrix"], "${{ fromJSON(needs.plan.outputs.matrix) }}");
    let used: BTreeSet<_> = found(r"matrix\.(\w+)", &shard.to_string()).into_iter().collect();
    assert!(used.contains("shard"), "{used:?}");
    let jobs = jobs();
    assert!(!jobs.is_empty());
    for job in &jobs {
        for key in used.iter().filter(|key| *key != "outputs") {
            assert!(job.get(key).is_some(), "the workflow uses matrix.{key}, and {job} has none");
        }
    }
}

/// Whoever adds a scenario does not touch the workflow.
#[rstest]
#[case::test(".github/workflows/test.yml")]
#[case::nightly(NIGHTLY)]
#[case::script("ci/nightly")]
fn no_scenario_is_listed_by_hand(#[case] name: &str) {
    let text = text(name);
    for planned in planned::all().unwrap() {
        let listed = text.split(|c: char| c.is_whitespace() || "\"'`".contains(c));
        assert!(listed.into_iter().all(|word| word != planned.scenario), "{name} lists {}", planned.scenario);
    }
}

#[rstest]
#[case::test(".github/workflows/test.yml")]
#[case::nightly(NIGHTLY)]
#[case::action("action.yml")]
fn scripts_exist_and_actions_are_pinned(#[case] name: &str) {
    let text = text(name);
    for script in found(r"(?:^|\s)(ci/[a-z-]+)(?:\s|$)", &text) {
        let mode = std::fs::metadata(path(&script)).unwrap_or_else(|e| panic!("{script}: {e}")).permissions();
        assert!(mode.mode() & 0o111 != 0, "{script} cannot be run");
    }
    let pinned = Regex::new("^[a-z/-]+@[0-9a-f]{40}$").unwrap();
    for action in found(r"uses: (\S+)", &text) {
        assert!(action == "./" || pinned.is_match(&action), "{action} is not pinned to a commit");
    }
}

/// What the scripts call exists, with these options.
#[rstest]
#[case::nightly("ci/nightly", 5)]
#[case::workflow(NIGHTLY, 3)]
#[case::action("action.yml", 2)]
fn commands_are_ours(#[case] name: &str, #[case] at_least: usize) {
    let text = text(name);
    let calls = found(r#"(?m)(?:"\$seatrial"|target/release/seatrial) ([a-z][^\n)|<>]*)"#, &text);
    assert!(calls.len() >= at_least, "{calls:?}");
    for call in calls {
        let call = call.replace("\"${github[@]}\"", "").replace(" || true", "").replace('"', "");
        // A shard that is a variable is some shard.
        let call = call.replace("$shard", "1/2");
        let words = std::iter::once("seatrial").chain(call.split_whitespace());
        if let Err(e) = Cli::try_parse_from(words) {
            panic!("{name}: `{call}`: {e}");
        }
    }
}
