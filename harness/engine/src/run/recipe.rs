//! What a run was asked to do, kept in its folder as `recipe.json`, schema `seatrial/recipe/v1`: enough to do it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use report::RunFolder;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::command_line::CommandLine;
use crate::errors;
use crate::exit::Usage;
use crate::redact::{self, redact};

/// The schema name written to `recipe.json`.
const SCHEMA: &str = "seatrial/recipe/v1";

/// The name of the file in a run folder.
const FILE: &str = "recipe.json";
/// The largest file that is read, bytes.
const LARGEST: u64 = 16 << 20;

/// A request, as far as it does not belong to one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    schema: String,
    /// Version of seatrial that wrote it.
    pub seatrial: String,
    /// Subject, by the name that the command line gives it.
    pub subject: String,
    /// Number of nodes.
    pub nodes: u8,
    /// Words of the options that choose the subject and its cluster; the files that they name are not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "words")]
    pub options: Vec<String>,
    /// Keys that are laid over the chart's ConfigMap.
    pub config: BTreeMap<String, String>,
    /// What is done.
    pub story: Story,
}

/// What is done in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Story {
    /// The way that the guide lists from one version to another.
    Run {
        /// Version before.
        from: String,
        /// Version after.
        to: String,
        /// Whether it goes back afterwards.
        rollback: bool,
        /// The whole file of budgets, where it is not the standard one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budgets: Option<String>,
    },
    /// An arm of a scenario.
    Scenario {
        /// Name.
        name: String,
        /// Arm.
        arm: String,
        /// The whole file.
        text: String,
    },
}

impl Recipe {
    /// A recipe of this version, without the secrets of the ConfigMap.
    pub fn new(subject: &str, nodes: u8, config: &BTreeMap<String, String>, story: Story) -> Self {
        let (schema, seatrial) = (SCHEMA.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let config = config.iter().map(|(key, value)| (key.clone(), redact::value(key, value))).collect();
        Self { schema, seatrial, subject: subject.to_owned(), nodes, options: Vec::new(), config, story }
    }

    /// The same with the options of a command line that belong to no other field, with secrets redacted.
    pub fn with_options(self, line: &CommandLine) -> Self {
        let line = line.clone().without(&OWN);
        // The name of the subject is a field; it is an option only beside what the subject is made of.
        let line = if made_of(&line.option_words()) { line } else { line.without(&["subject"]) };
        Self { options: line.option_words().iter().map(|word| redact(word)).collect(), ..self }
    }

    /// Whether the options say what the subject is made of, beside its name.
    pub fn brings_subject(&self) -> bool {
        made_of(&self.options)
    }

    /// The name of the trial, such as `kvstore-keys/skipped`; none where no scenario is run.
    pub fn trial(&self) -> Option<String> {
        match &self.story {
            Story::Scenario { name, arm, .. } => Some(format!("{name}/{arm}")),
            Story::Run { .. } => None,
        }
    }

    /// Writes it into a run folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let path = file(folder);
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads it from a run folder; `None` where the run has no recipe, such as one of `seatrial watch`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find(folder: &Path) -> Result<Option<Self>, Usage> {
        if file(folder).exists() { Self::load(folder).map(Some) } else { Ok(None) }
    }

    /// Reads it from a run folder.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(folder: &Path) -> Result<Self, Usage> {
        let path = file(folder);
        let text = RunFolder::at(folder).read(FILE, LARGEST).map_err(|e| {
            let remedy = "name the folder of a run, such as runs/<id>; runs of older versions and those of \
                          `seatrial watch` have none";
            Usage(format!("{}; {remedy}", errors::line(&e.into())))
        })?;
        let remedy = "read it with the seatrial that wrote it";
        let recipe: Self = serde_json::from_slice(&text)
            .map_err(|e| Usage(format!("{} is not a {SCHEMA} file: {e}; {remedy}", path.display())))?;
        if recipe.schema == SCHEMA {
            Ok(recipe)
        } else {
            let (path, schema) = (path.display(), recipe.schema);
            Err(Usage(format!("{path} has the schema {schema} and not {SCHEMA}; {remedy}")))
        }
    }
}

/// Options that are fields of the recipe, or belong to one machine or one run.
const OWN: [&str; 10] =
    ["rollback", "nodes", "config", "budgets", "out", "keep", "verbose", "print-images", "arm", "all"];

fn made_of(options: &[String]) -> bool {
    let names = ["--charts", "--subject-file"];
    options.iter().any(|word| names.contains(&word.split('=').next().unwrap_or_default()))
}

/// Reads options as a list of words, or as one string, as recipes of older versions have it.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Options {
        Words(Vec<String>),
        Line(String),
    }
    match Options::deserialize(deserializer)? {
        Options::Words(words) => Ok(words),
        Options::Line(line) => shlex::split(&line)
            .ok_or_else(|| D::Error::custom(format!("the options {line:?} cannot be split"))),
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        let (from, to) = ("1.5.13".into(), "1.6.12".into());
        let story = Story::Run { from, to, rollback: true, budgets: None };
        Recipe::new("standin", 2, &BTreeMap::from([("debug".into(), "true".into())]), story)
    }

    #[test]
    fn no_secret_is_kept() {
        let config = BTreeMap::from([("etcd-password".to_owned(), "hunter2".to_owned())]);
        let recipe = Recipe::new("bird", 2, &config, recipe().story);
        let line = CommandLine::default()
            .with_option("subject-file", "./bird.yaml".to_owned())
            .with_option("set", "etcd.password=hunter2".to_owned());
        let recipe = recipe.with_options(&line);
        let text = serde_json::to_string(&recipe).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(recipe.options[..2], ["--subject-file", "./bird.yaml"]);
        assert!(recipe.brings_subject());
    }

    #[test]
    fn options_of_older_recipes_are_one_string() {
        let mut value = serde_json::to_value(recipe()).unwrap();
        value["options"] = " --subject cilium --charts /a --set 'x=a b'".into();
        let recipe: Recipe = serde_json::from_value(value).unwrap();
        assert_eq!(recipe.options, ["--subject", "cilium", "--charts", "/a", "--set", "x=a b"]);
        assert!(recipe.brings_subject());
    }

    #[test]
    fn the_name_of_the_subject_alone_is_no_option() {
        let line = CommandLine::default()
            .with_option("subject", "standin".to_owned())
            .with_option("nodes", "3".to_owned())
            .with_option("provider", "kind".to_owned());
        assert_eq!(recipe().with_options(&line).options, ["--provider", "kind"]);
    }

    #[test]
    fn a_recipe_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        recipe().save(folder.path()).unwrap();
        assert_eq!(Recipe::load(folder.path()).unwrap(), recipe());
    }

    #[test]
    fn what_is_no_recipe_is_refused_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let said = || Recipe::load(folder.path()).unwrap_err().to_string();
        assert!(said().contains("name the folder of a run"), "{}", said());
        Recipe { schema: "seatrial/recipe/v9".into(), ..recipe() }.save(folder.path()).unwrap();
        assert!(said().contains("seatrial/recipe/v9 and not seatrial/recipe/v1"), "{}", said());
        std::fs::write(file(folder.path()), "{}").unwrap();
        assert!(said().contains("is not a seatrial/recipe/v1 file"), "{}", said());
    }
}
