//! Bundles of recorded run folders.

use std::fs;

use report::run::Run;
use report::trial::{Trial, TrialOutcome};
use tempfile::TempDir;

use super::*;
use engine::command_line::CommandLine;

const CONFIG_MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\ndata:\n  debug: \"false\"\n  etcd-password: hunter2\n";

fn recorded(story: Story, config: &[(&str, &str)]) -> (TempDir, Recorded, Recipe) {
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(base.path(), "r1").unwrap();
    let hop =
        json!({"from": "1.5.13", "to": "1.6.12", "direction": "upgrade", "l3_impact": "", "l7_impact": ""});
    let finding = json!({
        "id": "F1", "hazard": null, "flow": "held-tcp/cross-node", "summary": "cut for 3 s", "evidence": "",
        "reproduce": "",
    });
    let run: Run = serde_json::from_value(json!({
        "schema": report::run::SCHEMA, "id": "r1", "seatrial": "0.1.0", "started": "2026-11-24T03:15:02Z",
        "elapsed_ms": 1.0, "verdict": "failed", "reason": "cut for 3 s", "exit_code": 1, "subject": "standin",
        "provider": {"name": "sandbox", "kubernetes": "v1.34.4", "nodes": ["node1", "node2"],
                     "facts": {"kernel": "6.1.0"}},
        "path": [hop], "steps": [],
        "noise": {"canary_clean": true, "canary_lost": 0, "lateness_p50_us": 1.0, "lateness_p99_us": 1.0,
                  "lateness_max_us": 1.0},
        "flows": [], "observations": [], "findings": [finding], "budgets": [],
    }))
    .unwrap();
    folder.finish(&run).unwrap();
    if let Story::Scenario { name, arm, .. } = &story {
        let (schema, scenario, arm) = (report::trial::SCHEMA.to_owned(), name.clone(), arm.clone());
        let trial = Trial { schema, scenario, arm, outcome: TrialOutcome::AsExpected, wrong: Vec::new() };
        trial.save(&folder).unwrap();
    }
    fs::create_dir_all(folder.objects().join("installed")).unwrap();
    fs::write(folder.objects().join("installed/configmap-cilium-config.yaml"), CONFIG_MAP).unwrap();
    fs::write(folder.objects().join("installed/daemonset-cilium.yaml"), "kind: DaemonSet\n").unwrap();
    let config = config.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    let recipe = Recipe::new("standin", 2, &config, story);
    recipe.save(folder.path()).unwrap();
    let recorded = Recorded::load(folder.path()).unwrap();
    (base, recorded, recipe)
}

fn scenario() -> Story {
    let (name, text) = engine::scenario::texts().find(|(name, _)| *name == "kvstore-keys").unwrap();
    Story::Scenario { name: name.to_owned(), arm: "skipped".to_owned(), text: text.to_owned() }
}

fn plain() -> Story {
    let budgets = Some("- layer: L3\n  judged: false\n".to_owned());
    Story::Run { from: "1.5.13".to_owned(), to: "1.6.12".to_owned(), rollback: true, budgets }
}

fn text<'a>(bundle: &'a Bundle, path: &str) -> &'a str {
    &bundle.files.iter().find(|file| file.path == path).unwrap().text
}

#[test]
fn a_scenario_goes_with_its_file() {
    let (_base, recorded, recipe) = recorded(scenario(), &[]);
    let bundle = Bundle::of(&recorded, &recipe).unwrap();
    let paths: Vec<_> = bundle.files.iter().map(|file| file.path.as_str()).collect();
    let config_map = "configmaps/installed/configmap-cilium-config.yaml";
    assert_eq!(paths, ["README.md", config_map, "expected.json", "repro.sh", "scenario.yaml"]);
    let Story::Scenario { text: original, .. } = scenario() else { unreachable!() };
    assert_eq!(text(&bundle, "scenario.yaml"), original);
    let script = text(&bundle, "repro.sh");
    assert!(
        script.contains(r#"scenario run "$here/scenario.yaml" --arm skipped --subject standin "$@""#),
        "{script}"
    );
    assert!(text(&bundle, "expected.json").contains(r#""outcome": "as-expected""#));
}

#[test]
fn a_plain_run_goes_with_its_versions_its_config_and_its_budgets() {
    let (_base, recorded, recipe) = recorded(plain(), &[("debug", "true"), ("etcd-password", "hunter2")]);
    let bundle = Bundle::of(&recorded, &recipe).unwrap();
    let script = text(&bundle, "repro.sh");
    let command = "run 1.5.13 1.6.12 --rollback --nodes 2 --subject standin";
    let files = r#" --config "$here/config.yaml" --budgets "$here/budgets.yaml" "$@""#;
    assert!(script.contains(&format!("{command}{files}")), "{script}");
    assert_eq!(text(&bundle, "budgets.yaml"), "- layer: L3\n  judged: false\n");
    let config = subject::parse_config_map(text(&bundle, "config.yaml"), cilium::CONFIG_MAP).unwrap();
    assert_eq!(config["debug"], "true");
    assert_eq!(config["etcd-password"], "<redacted>");
}

#[test]
fn no_link_of_a_run_folder_is_followed() {
    let (base, recorded, recipe) = recorded(plain(), &[]);
    fs::write(base.path().join("key"), "hunter2").unwrap();
    let link = recorded.folder.join("objects/installed/configmap-key.yaml");
    std::os::unix::fs::symlink(base.path().join("key"), link).unwrap();
    let error = Bundle::of(&recorded, &recipe).unwrap_err().to_string();
    assert!(error.contains("configmap-key.yaml is no regular file"), "{error}");
}

#[test]
fn no_secret_leaves_and_the_readme_says_so() {
    let (_base, recorded, recipe) = recorded(plain(), &[("etcd-password", "hunter2")]);
    let bundle = Bundle::of(&recorded, &recipe).unwrap();
    assert_eq!(bundle.redacted, 2);
    for file in &bundle.files {
        assert!(!file.text.contains("hunter2"), "{}", file.path);
    }
    assert!(text(&bundle, "README.md").contains("2 secrets were redacted"));
}

#[test]
fn the_readme_says_what_ran_and_what_came_of_it() {
    let (_base, recorded, recipe) = recorded(scenario(), &[]);
    let bundle = Bundle::of(&recorded, &recipe).unwrap();
    let readme = text(&bundle, "README.md");
    for words in
        ["# kvstore-keys/skipped: as expected", "sh repro.sh", "standin 1.5.13 → 1.6.12", "kernel: 6.1.0"]
    {
        assert!(readme.contains(words), "{words}:\n{readme}");
    }
}

#[test]
fn no_word_of_a_recipe_becomes_a_command() {
    for word in ["1.5.13", "$(id)", "a'b", ""] {
        assert_eq!(shlex::split(&quote(word)), Some(vec![word.to_owned()]), "{}", quote(word));
    }
}

#[test]
fn what_the_subject_comes_from_is_named_and_left_to_the_reader() {
    let (_base, recorded, recipe) = recorded(plain(), &[]);
    let line = CommandLine::default()
        .with_option("subject-file", "./bird.yaml".to_owned())
        .with_option("images", "./bird.tar".to_owned());
    let bundle = Bundle::of(&recorded, &recipe.with_options(&line)).unwrap();
    let script = text(&bundle, "repro.sh");
    assert!(script.contains("--nodes 2 --budgets") && !script.contains("--subject"), "{script}");
    let readme = text(&bundle, "README.md");
    assert!(readme.contains("    sh repro.sh --subject-file ./bird.yaml --images ./bird.tar\n"), "{readme}");
    assert!(readme.contains("manifests and images are not included"), "{readme}");
}
