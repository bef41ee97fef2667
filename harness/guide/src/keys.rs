//! Facts about the keys of the ConfigMap `cilium-config`.

use std::collections::BTreeMap;
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
    /// Values that a later minor spells differently.
    pub(crate) replaced: Option<Replacement>,
    /// What a rebase does with the key in a cluster that does not have it yet.
    #[serde(default)]
    pub(crate) when_new: WhenNew,
    /// The effect of a changed value on a running cluster.
    #[serde(default)]
    pub(crate) on_change: OnChange,
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

/// Values that a minor and its successors spell differently.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replacement {
    /// First minor that rejects the old values.
    pub(crate) into: Minor,
    /// Old values and their replacements.
    pub(crate) values: Vec<ReplacedValue>,
}

/// An old value and its replacement.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplacedValue {
    /// The old value.
    pub(crate) at: String,
    /// Keys and values with the same meaning.
    pub(crate) set: BTreeMap<String, String>,
}

/// What a rebase does with a key in a cluster that does not have it yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenNew {
    /// Sets the default of the target.
    #[default]
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

static CLASSIC: LazyLock<File> = LazyLock::new(|| data::load("keys.yaml", include_str!("../data/keys.yaml")));
static MODERN: LazyLock<File> =
    LazyLock::new(|| data::load("keys-1.7.yaml", include_str!("../data/keys-1.7.yaml")));

/// The last minor whose keys are in the first file.
const LAST_CLASSIC: Minor = Minor::new(1, 6);

/// Returns the known keys of all minors up to one, in the order of the template.
pub(crate) fn up_to(minor: Minor) -> impl Iterator<Item = &'static Key> {
    let modern: &[Key] = if minor > LAST_CLASSIC { &MODERN.keys } else { &[] };
    CLASSIC.keys.iter().chain(modern)
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

impl Replacement {
    /// Returns the replacement of an old value.
    pub(crate) fn of(&self, value: &str) -> Option<&BTreeMap<String, String>> {
        self.values.iter().find(|replaced| replaced.at == value).map(|replaced| &replaced.set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use rstest::rstest;
    use std::collections::BTreeSet;

    fn key(name: &str) -> &'static Key {
        up_to(Minor::new(1, 20)).find(|key| key.key == name).unwrap()
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
        let keys: Vec<_> = up_to(Minor::new(1, 20)).collect();
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
