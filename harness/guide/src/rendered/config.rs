//! The agents' ConfigMap of both renderings: options that would behave differently.
//!
//! The ConfigMap of the source is rebased, which keeps its behaviour; where the one of the target has another effect, the
//! values change the behaviour of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::configmap::{self, ConfigMap};
use crate::keys::{self, OnChange};
use crate::options;
use crate::rebase::{Class, Decision, RebaseError, Request, rebase, scalar};
use model::{Minor, Version};

/// An option that would behave differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// The value in the ConfigMap of the source; absent if it has none.
    pub before: Option<String>,
    /// The value with which the target behaves as the source does now.
    pub kept: Option<String>,
    /// The value in the ConfigMap of the target, or the default that holds without one.
    pub after: Option<String>,
    /// The effect on a running cluster.
    pub effect: OnChange,
    /// Whether a person must accept or prevent it.
    pub attention: bool,
    /// Why.
    pub why: String,
}

/// Returns the options that would behave differently; none if one of the renderings has no ConfigMap of the agents.
///
/// # Errors
/// When a ConfigMap cannot be read.
pub(super) fn changed(
    before: &[Value],
    after: &[Value],
    from: &Version,
    to: &Version,
) -> Result<Vec<Setting>, RebaseError> {
    let (Some(old), Some(new)) = (find(before), find(after)) else { return Ok(Vec::new()) };
    let lines = data(old).into_iter().flat_map(|(key, value)| scalar::entry(key, value));
    let text = scalar::manifest(lines);
    let request = Request { from, to, template: None, adopt: BTreeSet::new(), comments: false };
    let rebased = rebase(&text, &request)?;
    let config = ConfigMap::read(&rebased.text)?;
    let (old, kept, new) = (data(old), config.data(), data(new));
    let decided: BTreeMap<&str, &Decision> =
        rebased.decisions.iter().map(|decision| (decision.key.as_str(), decision)).collect();
    let minor = to.minor();
    let mut settings = Vec::new();
    for key in kept.keys().chain(new.keys().filter(|key| !kept.contains_key(*key))) {
        if options::is_read(key, minor) == Some(false) {
            continue;
        }
        let wanted = effective(key, kept.get(key).copied(), minor);
        let found = effective(key, new.get(key).copied(), minor);
        let same = match (wanted, found) {
            (Some(wanted), Some(found)) => options::same(key, wanted, found),
            (None, None) => true,
            _ => false,
        };
        if !same {
            settings.push(setting(key, (&old, &new), (wanted, found), decided.get(key).copied()));
        }
    }
    settings.sort_by_key(|setting| !setting.attention);
    Ok(settings)
}

fn setting(
    key: &str,
    (old, new): (&BTreeMap<&str, &str>, &BTreeMap<&str, &str>),
    (wanted, found): (Option<&str>, Option<&str>),
    decision: Option<&Decision>,
) -> Setting {
    let effect = keys::find(key).map(|fact| fact.on_change).unwrap_or_default();
    let conflict = decision.is_some_and(|decision| matches!(decision.class, Class::Conflict | Class::Lost));
    let idle = keys::find(key).is_some_and(|fact| fact.is_idle(new));
    let quiet = idle || decision.is_some_and(|decision| decision.class == Class::Omitted);
    let why = match decision {
        Some(decision) if conflict || decision.is_change() => decision.why.clone(),
        _ if !old.contains_key(key) => "the chart sets it now".to_owned(),
        _ if found.is_none() => "the chart does not set it any more".to_owned(),
        _ => "the chart sets another value now".to_owned(),
    };
    Setting {
        key: key.to_owned(),
        before: old.get(key).map(|value| (*value).to_owned()),
        kept: wanted.map(str::to_owned),
        after: found.map(str::to_owned),
        effect,
        attention: conflict || (effect != OnChange::None && !quiet),
        why,
    }
}

/// Returns the value that holds: that of the file, or the default of the minor.
fn effective<'a>(key: &str, value: Option<&'a str>, minor: Minor) -> Option<&'a str> {
    value.or_else(|| options::without_key(key, minor))
}

fn find(objects: &[Value]) -> Option<&Value> {
    objects.iter().find(|it| it["kind"] == "ConfigMap" && it["metadata"]["name"] == configmap::NAME)
}

fn data(config: &Value) -> BTreeMap<&str, &str> {
    let entries = config["data"].as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}
