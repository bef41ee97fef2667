//! A rebase of values as an explanation of each value and as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rebased;
use crate::rebase::{Decision, render};
use crate::rendered::Comparison;
use model::Version;

/// A rebase of values as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Always `seatrial/values/v1`.
    pub schema: String,
    /// Version that the file was for.
    pub from: Version,
    /// Target version.
    pub to: Version,
    /// Whether a value changes or a conflict is open.
    pub pending: bool,
    /// The decision on each value.
    pub decisions: Vec<Decision>,
    /// What the charts of both versions render, if they were at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<Comparison>,
    /// The new file.
    pub text: String,
}

impl Report {
    /// The name of the JSON form.
    pub const SCHEMA: &'static str = "seatrial/values/v1";

    /// Returns the JSON form of a rebase.
    pub fn new(from: &Version, to: &Version, rebased: &Rebased, rendered: Option<Comparison>) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            from: from.clone(),
            to: to.clone(),
            pending: rebased.is_pending(),
            decisions: rebased.decisions.clone(),
            rendered,
            text: rebased.text.clone(),
        }
    }
}

/// Counts the decisions in one line, without the values that stay.
pub fn summary(rebased: &Rebased) -> String {
    let parts = render::counts(&rebased.decisions);
    if parts.is_empty() { "no change".to_owned() } else { parts.join(", ") }
}

/// Explains the decision on each value.
pub fn explain(rebased: &Rebased) -> String {
    render::reasons(&rebased.decisions)
}
