//! Facts about values that changed between minors.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::data::{self, Confidence};
use model::Minor;

/// The data file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(super) moved: Vec<Moved>,
    pub(super) words: Vec<Word>,
    pub(super) removed: Vec<Removed>,
    pub(super) defaults: Vec<Default>,
    pub(super) guards: Vec<Guard>,
    pub(super) images: Vec<Images>,
    pub(super) danger: Vec<Danger>,
}

/// A value that has another path in newer charts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Moved {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    /// Whether the value becomes the only item of a list.
    #[serde(default)]
    pub(super) list: bool,
    /// What words become, by path.
    #[serde(default)]
    pub(super) cases: BTreeMap<String, BTreeMap<String, Value>>,
    pub(super) source: String,
    #[serde(default = "exact")]
    #[expect(dead_code, reason = "a fact of every entry; checked by parsing")]
    confidence: Confidence,
}

/// A word of a value that some minors refuse.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Word {
    pub(super) path: String,
    pub(super) word: String,
    /// First minor that refuses it.
    pub(super) since: Option<Minor>,
    /// First minor that accepts it.
    pub(super) before: Option<Minor>,
    pub(super) becomes: Option<Value>,
    pub(super) instead: Option<String>,
    pub(super) source: String,
}

/// A value that newer charts do not read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Removed {
    pub(super) path: String,
    #[serde(default)]
    pub(super) harmless: Vec<String>,
    /// Values with which nothing is lost.
    #[serde(default)]
    pub(super) unless: BTreeMap<String, Vec<String>>,
    pub(super) why: String,
    /// Given if nothing that matters to traffic is lost.
    pub(super) class: Option<NothingLost>,
    pub(super) source: String,
}

/// Marks a removed value whose loss does not affect traffic.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NothingLost {
    /// Traffic is not affected.
    Removed,
}

/// A default that changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Default {
    pub(super) path: String,
    /// First minor with the new default.
    pub(super) into: Minor,
    pub(super) before: Value,
    pub(super) after: Value,
    pub(super) keep: Keep,
    #[serde(default)]
    pub(super) when: BTreeMap<String, String>,
    pub(super) why: String,
    pub(super) source: String,
}

/// What a rebase does about a changed default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Keep {
    /// Sets the old default.
    Pin,
    /// Leaves the new default.
    Adopt,
    /// Asks.
    Conflict,
}

/// A default that follows `upgradeCompatibility`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    pub(super) path: String,
    pub(super) into: Minor,
    pub(super) before: Value,
    pub(super) after: Value,
    #[serde(default)]
    pub(super) when: BTreeMap<String, String>,
    pub(super) why: String,
    pub(super) source: String,
}

/// Paths that replace the images of a chart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Images {
    pub(super) paths: Vec<String>,
}

/// A word that harms a cluster whenever agents start.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Danger {
    pub(super) path: String,
    pub(super) word: String,
    pub(super) why: String,
    pub(super) source: String,
}

fn exact() -> Confidence {
    Confidence::Exact
}

static FACTS: LazyLock<File> = LazyLock::new(|| data::embedded!("values"));

/// Returns all facts.
pub(super) fn all() -> &'static File {
    &FACTS
}
