//! Fields of Cilium's policies that the target does not have.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Change, Finding, Level, Located, RuleId};
use crate::data::{self, Confidence};
use crate::policy::Rule;
use model::Minor;

/// A field or a value, and the minors that have it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    field: String,
    since: Minor,
    until: Option<Minor>,
    instead: Option<String>,
    source: String,
    #[expect(dead_code, reason = "part of every entry; checked by parsing")]
    confidence: Confidence,
}

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| data::embedded!("policy-fields"));

/// Reports the fields of a rule that the target drops or rejects.
pub(super) fn check(located: &Located<'_>, rule: &Rule, change: &Change, findings: &mut Vec<Finding>) {
    let to = change.to.minor();
    for (path, position) in &rule.fields {
        for field in FIELDS.iter().filter(|field| field.is_at(path)) {
            let (id, what, help) = if to < field.since {
                let help = "remove it before the downgrade, or replace it by what that version has";
                (RuleId::UnsupportedFeature, format!("is new in {}", field.since), help)
            } else if let Some(until) = field.until.filter(|until| *until < to) {
                let help = field.instead.as_deref().unwrap_or("remove it");
                (RuleId::RemovedField, format!("is in {until} for the last time"), help)
            } else {
                continue;
            };
            let message = format!(
                "policy {}: {} {what}: {} drops the field or rejects the policy ({})",
                located.policy.name, field.field, change.to, field.source
            );
            findings.push(located.finding(id, Level::Error, *position, message, help.to_owned()));
        }
    }
}

impl Field {
    /// Tells whether a path ends in the field.
    fn is_at(&self, path: &str) -> bool {
        path.strip_suffix(&self.field).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}
