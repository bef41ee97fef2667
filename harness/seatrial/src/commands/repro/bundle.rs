//! What goes into a bundle. Everything passes through the redactor.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use report::RunFolder;
use report::collection::Recorded;
use serde_json::json;
use subject::cilium;

use super::archive::Member;
use engine::command_line::{quote, quoted};
use engine::redact;
use engine::run::recipe::{Recipe, Story};

/// The largest object that is read, bytes.
const LARGEST_OBJECT: u64 = 16 << 20;

/// A bundle, not yet written.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) files: Vec<Member>,
    /// The number of secrets that were redacted, here or earlier.
    pub(super) redacted: usize,
}

impl Bundle {
    /// Gathers it from a run folder.
    pub(super) fn of(recorded: &Recorded, recipe: &Recipe) -> anyhow::Result<Self> {
        let mut bundle = Self { files: Vec::new(), redacted: 0 };
        match &recipe.story {
            Story::Scenario { text, .. } => bundle.add("scenario.yaml", text),
            Story::Run { budgets, .. } => {
                if !recipe.config.is_empty() {
                    bundle.add("config.yaml", &config_map(&recipe.config)?);
                }
                if let Some(text) = budgets {
                    bundle.add("budgets.yaml", text);
                }
            }
        }
        for (point, text) in config_maps(&RunFolder::at(&recorded.folder))? {
            bundle.add(&format!("configmaps/{point}.yaml"), &text);
        }
        bundle.add("expected.json", &expected(recorded)?);
        let script = script(recipe);
        bundle.files.push(Member { path: "repro.sh".to_owned(), text: script.clone(), program: true });
        let readme = readme(recorded, recipe, &script, bundle.redacted);
        // It mentions the redacted secrets.
        bundle.files.push(Member {
            path: "README.md".to_owned(),
            text: redact::redact(&readme),
            program: false,
        });
        bundle.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(bundle)
    }

    fn add(&mut self, path: &str, text: &str) {
        let text = redact::redact(text);
        self.redacted += text.matches(redact::MARK).count();
        self.files.push(Member { path: path.to_owned(), text, program: false });
    }
}

/// The keys that were merged into the ConfigMap of the chart, as `--config` reads them.
fn config_map(config: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let data: BTreeMap<_, _> = config.iter().map(|(key, value)| (key, redact::value(key, value))).collect();
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": cilium::CONFIG_MAP, "namespace": cilium::NAMESPACE},
        "data": data,
    });
    Ok(serde_saphyr::to_string(&object)?)
}

/// The ConfigMaps that were kept, by the point of the run and their name.
fn config_maps(folder: &RunFolder) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for file in folder.files("objects")? {
        let name = file.file_stem().map(|name| name.to_string_lossy()).unwrap_or_default();
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml");
        if is_yaml && name.starts_with("configmap-") {
            let text = String::from_utf8(folder.read(&file, LARGEST_OBJECT)?)
                .with_context(|| format!("{} is no text", file.display()))?;
            let point = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            found.insert(format!("{point}/{name}"), text);
        }
    }
    Ok(found)
}

/// The outcome of the run, for comparison.
fn expected(recorded: &Recorded) -> serde_json::Result<String> {
    let run = &recorded.run;
    let findings = run.findings.iter().map(|f| json!({"flow": f.flow, "summary": f.summary}));
    let expected = json!({
        "schema": "seatrial/expected/v1",
        "verdict": run.verdict,
        "reason": run.reason,
        "exit_code": run.exit_code,
        "findings": findings.collect::<Vec<_>>(),
        "trial": recorded.trial,
    });
    Ok(serde_json::to_string_pretty(&expected)? + "\n")
}

fn script(recipe: &Recipe) -> String {
    // Charts and subject files are named by the options that follow.
    let subject = match recipe.brings_subject() {
        true => String::new(),
        false => format!(" --subject {}", quote(&recipe.subject)),
    };
    let command = match &recipe.story {
        Story::Scenario { arm, .. } => {
            format!("scenario run \"$here/scenario.yaml\" --arm {}{subject}", quote(arm))
        }
        Story::Run { from, to, rollback, budgets } => {
            let back = if *rollback { " --rollback" } else { "" };
            let config = if recipe.config.is_empty() { "" } else { " --config \"$here/config.yaml\"" };
            let budgets = if budgets.is_none() { "" } else { " --budgets \"$here/budgets.yaml\"" };
            let (from, to) = (quote(from), quote(to));
            // A configuration of kind says how many nodes there are.
            let shaped = recipe.options.iter().any(|word| word == "--kind-config");
            let nodes = if shaped { String::new() } else { format!(" --nodes {}", recipe.nodes) };
            format!("run {from} {to}{back}{nodes}{subject}{config}{budgets}")
        }
    };
    format!(
        "#!/bin/sh\n\
         # Reproduces the run. Arguments are passed to seatrial, such as --out DIR; SEATRIAL names another binary.\n\
         set -eu\n\
         here=$(cd -- \"$(dirname -- \"$0\")\" && pwd)\n\
         exec \"${{SEATRIAL:-seatrial}}\" {command} \"$@\"\n"
    )
}

/// The options of a recipe, as they follow a command.
pub(super) fn options(recipe: &Recipe) -> String {
    let options = quoted(&recipe.options);
    if options.is_empty() { options } else { format!(" {options}") }
}

fn readme(recorded: &Recorded, recipe: &Recipe, script: &str, redacted: usize) -> String {
    let run = &recorded.run;
    let facts = run.provider.facts.iter().map(|(name, value)| format!("- {name}: {value}\n"));
    let command = script.lines().last().and_then(|line| line.strip_prefix("exec ")).unwrap_or_default();
    let secrets = match redacted {
        0 => "No secret was found in these files.".to_owned(),
        n => {
            format!("{n} secrets were redacted and read `<redacted>`; insert your own before you run this.")
        }
    };
    format!(
        "# {}: {}\n\n{}\n\nRun it again, as root, with seatrial {} or later on PATH:\n\n    sh repro.sh{}\n\n\
         That is `{command}`.{}\n\n\
         ## What ran\n\n- subject: {} {}\n- provider: {} {}, {} nodes\n- run: {} of {}\n- seatrial: {}\n{}\n\
         ## Files\n\n\
         - `repro.sh`: the command\n\
         - `scenario.yaml`, `config.yaml`, `budgets.yaml`: the input of the command, as far as it has any\n\
         - `configmaps/`: the subject's ConfigMaps at the points of the recorded run, to compare with\n\
         - `expected.json`: the outcome of the recorded run\n\n\
         Runs use no random numbers, so there is no seed. {secrets}\n",
        recorded.name(),
        recorded.outcome(),
        recorded.reasons().join("\n\n"),
        recipe.seatrial,
        options(recipe),
        if recipe.brings_subject() {
            " Charts, manifests and images are not included: replace the paths with your own."
        } else {
            ""
        },
        run.subject,
        run.versions(),
        run.provider.name,
        run.provider.kubernetes,
        recipe.nodes,
        run.id,
        run.started,
        run.seatrial,
        facts.collect::<String>(),
    )
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
