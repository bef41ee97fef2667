//! A rebase as a diff, as an explanation of each key and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::{Class, Decision, Rebased};
use crate::keys::OnChange;
use model::Version;

/// A rebase as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Always `seatrial/rebase/v1`.
    pub schema: String,
    /// Version that the file was for.
    pub from: Version,
    /// Target version.
    pub to: Version,
    /// Whether a key changes or a conflict is open.
    pub pending: bool,
    /// The decision on each key.
    pub decisions: Vec<Decision>,
    /// Removed metadata of the API server.
    pub dropped: Vec<String>,
    /// Why the file seems to be of another version than the given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// Tools that manage the ConfigMap and revert changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<String>,
    /// The new file.
    pub text: String,
}

impl Report {
    /// The name of the JSON form.
    pub const SCHEMA: &'static str = "seatrial/rebase/v1";

    /// Returns the JSON form of a rebase.
    pub fn new(from: &Version, to: &Version, rebased: &Rebased) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            from: from.clone(),
            to: to.clone(),
            pending: rebased.is_pending(),
            decisions: rebased.decisions.clone(),
            dropped: rebased.dropped.clone(),
            doubt: rebased.doubt.clone(),
            managers: rebased.managers.clone(),
            text: rebased.text.clone(),
        }
    }
}

/// Writes a unified diff; empty for equal texts.
pub fn diff(file: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(3).header(file, &format!("{file} (rebased)")).to_string()
}

/// Counts the decisions in one line, without the keys that stay.
pub fn summary(rebased: &Rebased) -> String {
    let mut parts = counts(&rebased.decisions);
    if !rebased.dropped.is_empty() {
        parts.push(format!("{} fields of the API server removed", rebased.dropped.len()));
    }
    if parts.is_empty() { "no change".to_owned() } else { parts.join(", ") }
}

/// Counts decisions by class, without those on what stays.
pub(crate) fn counts(decisions: &[Decision]) -> Vec<String> {
    let mut counts = BTreeMap::<Class, usize>::new();
    for decision in decisions {
        *counts.entry(decision.class).or_default() += 1;
    }
    let quiet = [Class::Kept, Class::Omitted];
    let parts = counts.iter().filter(|(class, _)| !quiet.contains(class));
    parts.map(|(class, count)| format!("{count} {}", name(*class))).collect()
}

/// Explains the decision on each key.
pub fn explain(rebased: &Rebased) -> String {
    reasons(&rebased.decisions)
}

/// Writes a line for each decision.
pub(crate) fn reasons(decisions: &[Decision]) -> String {
    let mut out = String::new();
    let width = decisions.iter().map(|decision| decision.key.len()).max().unwrap_or(0);
    for decision in decisions {
        let Decision { key, class, why, source, effect, .. } = decision;
        let effect = match effect {
            OnChange::None => "",
            OnChange::Disrupts => " [disrupts traffic]",
            OnChange::FlushesState => " [flushes state]",
        };
        let source = source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default();
        let line = format!("{key:width$}  {:15}  {}{why}{effect}{source}\n", name(*class), values(decision));
        out.write_str(&line).unwrap_or_default();
    }
    out
}

fn values(decision: &Decision) -> String {
    let short = |value: &str| match value.lines().nth(1) {
        Some(_) => format!("{} lines", value.lines().count()),
        None => format!("{value:?}"),
    };
    match (&decision.before, &decision.after) {
        (Some(before), Some(after)) if before != after => {
            format!("{} becomes {}: ", short(before), short(after))
        }
        (None, Some(after)) => format!("{}: ", short(after)),
        (Some(before), None) => format!("was {}: ", short(before)),
        _ => String::new(),
    }
}

fn name(class: Class) -> &'static str {
    match class {
        Class::Kept => "kept",
        Class::Unknown => "unknown",
        Class::Added => "added",
        Class::Omitted => "omitted",
        Class::Required => "required",
        Class::Renamed => "renamed",
        Class::Inverted => "inverted",
        Class::Replaced => "replaced",
        Class::Adopted => "adopted",
        Class::Deprecated => "deprecated",
        Class::Removed => "removed",
        Class::Lost => "lost",
        Class::DefaultFlipped => "default changed",
        Class::Conflict => "in conflict",
    }
}
