//! Facts about the keys of the ConfigMap `cilium-config`.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::data::{self, Confidence};
use model::{Minor, Version, VersionSpec};

/// One key of the ConfigMap.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) key: String,
    #[serde(default)]
    defaults: Vec<Default>,
    introduced: Option<Minor>,
    /// First minor that deprecates it.
    pub(crate) deprecated: Option<Minor>,
    /// First minor that no longer reads it.
    pub(crate) removed: Option<Minor>,
    /// Before this minor, arguments of the DaemonSet set the option.
    pub(crate) args_before: Option<Minor>,
    /// The key that it replaces.
    pub(crate) renamed_from: Option<Rename>,
    /// A different spelling of its values in older minors.
    pub(crate) respelt: Option<Respelt>,
    /// Values that only some minors accept.
    #[serde(default)]
    pub(crate) values: Vec<LimitedValue>,
    /// A value that is dangerous when agents restart.
    pub(crate) danger: Option<Danger>,
    #[serde(default)]
    predecessor: Vec<String>,
    /// What a rebase does if the value that holds without the key changes.
    #[serde(default)]
    pub(crate) when_changed: WhenChanged,
    /// What a rebase does with the key in a cluster that does not have it yet.
    #[serde(default)]
    pub(crate) when_new: WhenNew,
    /// The effect of a changed value on a running cluster.
    #[serde(default)]
    pub(crate) on_change: OnChange,
    /// Other keys with values that make the option do nothing.
    #[serde(default)]
    idle_with: BTreeMap<String, String>,
    /// Comment above it in the template.
    pub(crate) comment: Option<String>,
    /// A note for the operator of the cluster.
    pub(crate) note: Option<String>,
    source: Option<String>,
    confidence: Option<Confidence>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Default {
    #[schemars(with = "String")]
    since: Since,
    value: Option<String>,
}

/// A rename from an older key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rename {
    /// The older key.
    pub(crate) key: String,
    /// First minor with the new name.
    pub(crate) into: Minor,
    /// The mapping of the value.
    pub(crate) value: Mapping,
}

/// How a rename maps the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mapping {
    /// The value stays.
    Same,
    /// `"true"` becomes `"false"` and the reverse.
    Negated,
}

/// A value that only some minors accept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitedValue {
    /// The value.
    pub(crate) value: String,
    /// First minor that accepts it.
    pub(crate) since: Option<Minor>,
    /// Last minor that accepts it.
    pub(crate) until: Option<Minor>,
    /// The remedy.
    pub(crate) instead: String,
}

/// How minors spell a value differently.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Respelt {
    /// Minors before this one read whole seconds, later ones durations.
    SecondsBefore(Minor),
}

/// A value that is dangerous when agents restart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Danger {
    /// The value.
    pub(crate) value: String,
    /// Its effect and the remedy.
    pub(crate) why: String,
}

/// What a rebase does if the value that holds without the key changes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenChanged {
    /// Sets the old value.
    #[default]
    Pin,
    /// Leaves the key out.
    Adopt,
    /// Sets a value if other keys have given values, else reports a conflict.
    Decide {
        /// The other keys and their values.
        unless: BTreeMap<String, String>,
        /// The value to set.
        set: Option<String>,
        /// The remedy.
        or: String,
    },
}

/// What a rebase does with a key in a cluster that does not have it yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenNew {
    /// Sets the default of the target unless the option exists already with another value.
    #[default]
    Follow,
    /// Sets the default of the target.
    Adopt,
    /// Leaves the key out: its absence keeps the current behaviour.
    Omit,
    /// Sets the value that keeps the current behaviour.
    Pin(String),
}

/// The effect of a changed value on a running cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnChange {
    /// None.
    #[default]
    None,
    /// Traffic is disrupted.
    Disrupts,
    /// State in the kernel is discarded, with the connections in it.
    FlushesState,
}

/// A template of the default ConfigMap.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Template {
    minor: Minor,
    source: String,
    confidence: Confidence,
}

/// The first release with a default: `1.6` means `1.6.0`.
#[derive(Clone, Debug)]
struct Since(Version);

impl<'de> Deserialize<'de> for Since {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.parse().map_err(de::Error::custom)? {
            VersionSpec::Latest(minor) => Ok(Self(minor.patch(0))),
            VersionSpec::Exact(version) => Ok(Self(version)),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    templates: Vec<Template>,
    keys: Vec<Key>,
}

static CLASSIC: LazyLock<File> = LazyLock::new(|| data::embedded!("keys"));
static MODERN: LazyLock<File> = LazyLock::new(|| data::embedded!("keys-1.7"));

static BY_NAME: LazyLock<HashMap<&'static str, &'static Key>> =
    LazyLock::new(|| all().map(|key| (key.key.as_str(), key)).collect());

/// Returns all keys, in the order of the template.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    CLASSIC.keys.iter().chain(&MODERN.keys)
}

/// Returns the facts about a key.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    BY_NAME.get(name).copied()
}

/// Returns the comment above a key in the template.
pub(crate) fn comment(name: &str) -> Option<&'static str> {
    CLASSIC.keys.iter().find(|key| key.key == name)?.comment.as_deref()
}

impl Key {
    /// Returns the value in the default ConfigMap of a release.
    pub(crate) fn default_at(&self, version: &Version) -> Option<&str> {
        let release = Version { pre: None, ..version.clone() };
        let at = self.defaults.iter().rev().find(|default| default.since.0 <= release)?;
        at.value.as_deref()
    }

    /// Tells whether other keys of a ConfigMap make the option do nothing.
    pub(crate) fn is_idle(&self, data: &BTreeMap<&str, &str>) -> bool {
        let set = |(key, value): (&String, &String)| data.get(key.as_str()) == Some(&value.as_str());
        !self.idle_with.is_empty() && self.idle_with.iter().all(set)
    }

    /// Returns the keys that it replaces.
    pub(crate) fn predecessors(&self) -> impl Iterator<Item = &str> {
        let renamed = self.renamed_from.iter().map(|rename| rename.key.as_str());
        renamed.chain(self.predecessor.iter().map(String::as_str))
    }

    /// Returns the first minor that reads it.
    pub(crate) fn introduced(&self) -> Option<Minor> {
        self.introduced.or_else(|| self.defaults.first().map(|default| default.since.0.minor()))
    }

    /// Returns the source of its facts and their confidence.
    pub(crate) fn origin(&self) -> (String, Confidence) {
        let introduced = self.introduced();
        let template = CLASSIC.templates.iter().find(|template| Some(template.minor) == introduced);
        match (&self.source, template) {
            (Some(source), _) => (source.clone(), self.confidence.unwrap_or(Confidence::Inferred)),
            (None, Some(template)) => {
                (format!("{} ConfigMap template: {}", template.minor, template.source), template.confidence)
            }
            (None, None) => ("not recorded".to_owned(), Confidence::Inferred),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use rstest::rstest;
    use std::collections::BTreeSet;

    fn key(name: &str) -> &'static Key {
        find(name).unwrap()
    }

    #[rstest]
    #[case::first("monitor-aggregation", "1.4.10", None)]
    #[case::before_flip("monitor-aggregation", "1.5.0", Some("none"))]
    #[case::after_flip("monitor-aggregation", "1.6.12", Some("medium"))]
    #[case::before_patch("enable-xt-socket-fallback", "1.6.6", None)]
    #[case::patch_addition("enable-xt-socket-fallback", "1.6.7", Some("true"))]
    #[case::gone("tunnel", "1.15.0", None)]
    #[case::pre_release("identity-allocation-mode", "1.6.0-rc1", Some("crd"))]
    fn knows_defaults(#[case] name: &str, #[case] version: &str, #[case] value: Option<&str>) {
        assert_eq!(key(name).default_at(&version.parse().unwrap()), value);
    }

    #[test]
    fn keys_are_unique_and_each_has_an_origin() {
        let keys: Vec<_> = all().collect();
        let names: BTreeSet<_> = keys.iter().map(|key| &key.key).collect();
        assert_eq!(names.len(), keys.len());
        for key in keys {
            assert_ne!(key.origin().0, "not recorded", "{}", key.key);
            assert!(key.defaults.is_sorted_by(|a, b| a.since.0 < b.since.0), "{}", key.key);
            assert!(!key.defaults.is_empty() || key.introduced.is_some(), "{}", key.key);
        }
        let minors: Vec<_> = CLASSIC.templates.iter().map(|template| template.minor).collect();
        assert!(catalogue::lines().iter().map(|line| line.minor).eq(minors));
    }
}
