//! What is known about the keys of the ConfigMap `cilium-config`.

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
    /// First minor that does not read it any more.
    pub(crate) removed: Option<Minor>,
    /// Before this minor the arguments of the DaemonSet decide.
    pub(crate) args_before: Option<Minor>,
    /// The key whose place it took.
    pub(crate) renamed_from: Option<Rename>,
    /// Values that a later minor writes differently.
    pub(crate) replaced: Option<Replacement>,
    /// What happens when a cluster meets it for the first time.
    #[serde(default)]
    pub(crate) when_new: WhenNew,
    /// What a changed value does to a running cluster.
    #[serde(default)]
    pub(crate) on_change: OnChange,
    /// Comment that the template carries above it.
    pub(crate) comment: Option<String>,
    /// What a person should know about it.
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
    /// What becomes of the value.
    pub(crate) value: Mapping,
}

/// What a rename does to the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mapping {
    /// Nothing.
    Same,
    /// `"true"` and `"false"` change places.
    Negated,
}

/// Values that are written differently from some minor on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replacement {
    /// First minor that does not read the old values.
    pub(crate) into: Minor,
    /// Old values and what to set instead.
    pub(crate) values: Vec<ReplacedValue>,
}

/// One old value and what to set instead.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplacedValue {
    /// The old value.
    pub(crate) at: String,
    /// Keys and values that mean the same.
    pub(crate) set: BTreeMap<String, String>,
}

/// What a rebase does with a key that is new to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenNew {
    /// Takes the target's default.
    #[default]
    Adopt,
    /// Leaves it out: absent means today's behaviour.
    Omit,
    /// Sets the value that means today's behaviour.
    Pin(String),
}

/// What changing a key's value does to a running cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnChange {
    /// Traffic is not touched.
    #[default]
    None,
    /// Traffic is disrupted.
    Disrupts,
    /// State in the kernel is thrown away, connections with it.
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

/// A release from which a default holds: `1.6` means `1.6.0`.
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

/// The last minor whose keys are all in the first file.
const LAST_CLASSIC: Minor = Minor::new(1, 6);

/// Returns the known keys of all minors up to one, in the order of the template.
pub(crate) fn up_to(minor: Minor) -> impl Iterator<Item = &'static Key> {
    let modern: &[Key] = if minor > LAST_CLASSIC { &MODERN.keys } else { &[] };
    CLASSIC.keys.iter().chain(modern)
}

/// Returns the comment that the template carries above a key.
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

    /// Returns where its facts were read and how sure they are.
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
    /// Returns what to set instead of an old value.
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
