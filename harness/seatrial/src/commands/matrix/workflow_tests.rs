//! The committed workflows and scripts agree with the commands: nothing in them is kept by hand.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use regex::Regex;
use rstest::rstest;
use serde_json::Value;

use crate::cli::{self, Command};
use engine::scenario::planned;
use subject::{StandinProgram, Supported, registry};

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

/// The command of a step that makes jobs, with what it prints.
fn jobs(step: &str) -> Vec<Value> {
    let steps = workflow()["jobs"]["plan"]["steps"].clone();
    let step = steps.as_array().unwrap().iter().find(|known| known["id"] == step).unwrap().clone();
    let run = step["run"].as_str().unwrap().replace("\"$CHARTS\"", "charts");
    let [command] = &found(r"\$\(\S*(seatrial matrix [^)]*)\)", &run)[..] else {
        panic!("the step does not run `seatrial matrix`: {step}")
    };
    assert!(command.ends_with("--output github"), "{command}");
    let (parsed, line) = cli::parse(command.split(' ')).unwrap_or_else(|e| panic!("`{command}`: {e}"));
    let Command::Matrix(args) = parsed else { panic!("`{command}` is no matrix") };
    let mut out = Vec::new();
    let supported: Supported = if args.subject == "standin" {
        let description = include_bytes!("../../../../standin/description.json");
        let standin = StandinProgram::described("seatrial-standin".into(), description).unwrap();
        Box::new(move |version| standin.supports(version))
    } else {
        (registry::find(&args.subject).unwrap().supported)().unwrap()
    };
    super::print(&args, &line, &supported, &mut out).unwrap();
    let printed: Value = serde_json::from_slice(&out).unwrap();
    printed["include"].as_array().unwrap().clone()
}

#[rstest]
#[case::standin("shard", "matrix")]
#[case::cilium("cilium", "cilium")]
fn jobs_are_what_the_command_prints(#[case] job: &str, #[case] step: &str) {
    let workflow = workflow();
    let (plan, shard) = (&workflow["jobs"]["plan"], &workflow["jobs"][job]);
    assert_eq!(plan["outputs"][step], format!("${{{{ steps.{step}.outputs.matrix }}}}"));
    assert_eq!(shard["needs"], "plan");
    assert_eq!(shard["strategy"]["matrix"], format!("${{{{ fromJSON(needs.plan.outputs.{step}) }}}}"));
    let used: BTreeSet<_> = found(r"matrix\.(\w+)", &shard.to_string()).into_iter().collect();
    assert!(used.contains("shard"), "{used:?}");
    let jobs = jobs(step);
    assert!(!jobs.is_empty());
    for job in &jobs {
        for key in used.iter().filter(|key| *key != "outputs") {
            assert!(job.get(key).is_some(), "the workflow uses matrix.{key}, and {job} has none");
        }
    }
}

/// What the jobs of Cilium run is what they were planned from.
#[test]
fn jobs_of_cilium_run_what_was_planned() {
    let text = text(NIGHTLY).replace("\"$CHARTS\"", "charts").replace("${{ vars.CILIUM_CHARTS }}", "charts");
    let planned = found(r"seatrial matrix (--subject cilium [^\n]*) --output github", &text);
    let run = found(r"options: (--subject cilium [^\n]*)", &text);
    assert_eq!(planned.len(), 1, "{planned:?}");
    assert_eq!(planned, run);
}

/// The node image is kind's own for the Kubernetes of sandboxes.
#[test]
fn node_image_is_of_the_pinned_kubernetes() {
    let image = guide::node_images()
        .iter()
        .find(|node| cluster::components::KUBERNETES.starts_with(&format!("v{}.", node.kubernetes)));
    let image = &image.unwrap().image;
    assert!(text(".github/workflows/test.yml").contains(image), "it is not {image}");
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
#[case::shard(".github/workflows/shard.yml")]
#[case::action("action.yml")]
fn scripts_exist_and_actions_are_pinned(#[case] name: &str) {
    let text = text(name);
    for script in found(r"(?:^|\s)(ci/[a-z-]+)(?:\s|$)", &text) {
        let mode = std::fs::metadata(path(&script)).unwrap_or_else(|e| panic!("{script}: {e}")).permissions();
        assert!(mode.mode() & 0o111 != 0, "{script} cannot be run");
    }
    let pinned = Regex::new("^[a-z/-]+@[0-9a-f]{40}$").unwrap();
    for action in found(r"uses: (\S+)", &text) {
        let own = action == "./" || path(&action).is_file();
        assert!(own || pinned.is_match(&action), "{action} is not pinned to a commit");
    }
}

/// What the scripts call exists, with these options.
#[rstest]
#[case::nightly("ci/nightly", 5)]
#[case::workflow(NIGHTLY, 3)]
#[case::action("action.yml", 2)]
fn commands_are_ours(#[case] name: &str, #[case] at_least: usize) {
    let text = text(name);
    let calls = found(r#"(?m)(?:"\$seatrial"|target/(?:release|dist)/seatrial) ([a-z][^\n)|<>]*)"#, &text);
    assert!(calls.len() >= at_least, "{calls:?}");
    for call in calls {
        let call = call.replace("\"${github[@]}\"", "").replace(" || true", "").replace('"', "");
        // A shard that is a variable is some shard.
        let call = call
            .replace("$shard", "1/2")
            .replace("$CHARTS", "charts")
            .replace("${options[@]}", "--subject standin --from 1.2")
            .replace("${doctor[@]}", "--build --kind");
        let words = std::iter::once("seatrial").chain(call.split_whitespace());
        if let Err(e) = cli::parse(words) {
            panic!("{name}: `{call}`: {e}");
        }
    }
}
