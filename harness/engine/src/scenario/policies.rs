//! The step `apply-policy`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Policies that come and go, in the namespace of the probes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Policies {
    /// At what moment.
    #[serde(default)]
    pub when: When,
    /// CiliumNetworkPolicy objects that are applied: the `spec` of each by its name.
    #[serde(default)]
    pub apply: BTreeMap<String, Value>,
    /// Names of those that are deleted afterwards.
    #[serde(default)]
    pub delete: Vec<String>,
}

/// The moment at which policies change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum When {
    /// After the step before.
    #[default]
    Now,
    /// In the midst of the next change: as soon as it has taken an agent away.
    AgentAway,
}
