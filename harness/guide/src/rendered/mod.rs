//! Compares the objects that two charts render: which differ, and what that does to a running cluster.
//!
//! The objects are those of `helm template`, so they have no defaults of the API server. Certificates that the chart
//! generates differ in every rendering; of Secrets only the keys are compared.

mod config;
mod consequence;
mod fields;
pub mod render;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rebase::RebaseError;
use model::Version;

pub use config::Setting;
pub use consequence::Consequence;
pub use fields::Field;

/// The differences between two renderings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The objects that differ, those that matter most first.
    pub objects: Vec<Difference>,
    /// Options of the agents that would behave differently.
    pub settings: Vec<Setting>,
}

/// One object that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Its kind.
    pub kind: String,
    /// Its namespace; absent for objects without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What happens to it.
    pub change: Change,
    /// What follows.
    pub consequence: Consequence,
    /// What follows, as a sentence.
    pub why: String,
    /// The fields that differ, if it is in both renderings.
    pub fields: Vec<Field>,
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only the second rendering has it.
    Added,
    /// Only the first rendering has it.
    Removed,
    /// Both have it, and it differs.
    Changed,
}

impl Comparison {
    /// Tells whether a person must act or accept a change of behaviour.
    pub fn needs_attention(&self) -> bool {
        self.objects.iter().any(|object| object.consequence == Consequence::Refused)
            || self.settings.iter().any(|setting| setting.attention)
    }
}

/// Kind, namespace and name.
type Id = (String, Option<String>, String);

/// Compares the objects of the source with those of the target.
///
/// # Errors
/// When the agents' ConfigMap of one of them cannot be read.
pub fn compare(
    before: &[Value],
    after: &[Value],
    from: &Version,
    to: &Version,
) -> Result<Comparison, RebaseError> {
    let (old, new) = (by_id(before), by_id(after));
    let mut objects = Vec::new();
    for id in old.keys().chain(new.keys().filter(|id| !old.contains_key(*id))) {
        let (kind, namespace, name) = id;
        let (before, after) = (old.get(id).copied(), new.get(id).copied());
        let (change, fields) = match (before, after) {
            (Some(before), Some(after)) => (Change::Changed, fields::differing(before, after)),
            (None, _) => (Change::Added, Vec::new()),
            (_, None) => (Change::Removed, Vec::new()),
        };
        if change == Change::Changed && fields.is_empty() {
            continue;
        }
        let (consequence, why) = consequence::of(kind, name, before, after);
        let (kind, namespace, name) = (kind.clone(), namespace.clone(), name.clone());
        objects.push(Difference { kind, namespace, name, change, consequence, why, fields });
    }
    objects.sort_by_key(|object| object.consequence);
    let settings = config::changed(before, after, from, to)?;
    Ok(Comparison { objects, settings })
}

fn by_id(objects: &[Value]) -> BTreeMap<Id, &Value> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let id = |object: &Value| {
        let metadata = &object["metadata"];
        Some((text(&object["kind"])?, text(&metadata["namespace"]), text(&metadata["name"])?))
    };
    objects.iter().filter_map(|object| Some((id(object)?, object))).collect()
}

#[cfg(test)]
mod tests;
