//! ConfigMap keys that the guide requires before a hop.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{self, Confidence, Minors};
use model::Minor;

/// A ConfigMap key that must have a value before a stage starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigChange {
    /// The key.
    pub key: String,
    /// The required value.
    pub value: String,
    /// The effect of a missing or different value.
    pub why: String,
    /// Where this was read.
    pub source: String,
    /// How certain it is.
    pub confidence: Confidence,
    /// Whether any value that is already set satisfies the requirement.
    pub keep_existing: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    into: Minor,
    from: Minors,
    key: String,
    value: String,
    why: String,
    #[serde(default)]
    keep_existing: bool,
    source: String,
    confidence: Confidence,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| data::embedded!("required"));

/// Returns the keys that must be set before upgrading from one minor into another.
pub fn required_changes(from: Minor, into: Minor) -> Vec<ConfigChange> {
    ENTRIES
        .iter()
        .filter(|entry| entry.into == into && entry.from.contains(&from))
        .map(|entry| ConfigChange {
            key: entry.key.clone(),
            value: entry.value.clone(),
            why: entry.why.clone(),
            source: entry.source.clone(),
            confidence: entry.confidence,
            keep_existing: entry.keep_existing,
        })
        .collect()
}
