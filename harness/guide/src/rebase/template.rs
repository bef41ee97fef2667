//! Templates: the default ConfigMap of a version, built in or read from a file.

use super::lines::comments_above;
use super::scalar;
use crate::configmap::ConfigMap;
use crate::keys::{self, Key};
use crate::yaml::{Entry, YamlError};
use model::Version;

/// A template of the target version: its keys in order, with values and comments.
#[derive(Clone, Debug)]
pub struct Template {
    entries: Vec<(String, String, Vec<String>)>,
}

impl Template {
    /// Reads a template from a manifest.
    ///
    /// # Errors
    /// Fails with the position when the text is not a ConfigMap.
    pub fn read(text: &str) -> Result<Self, YamlError> {
        let config = ConfigMap::read(text)?;
        let entry = |entry: &Entry| {
            let value = entry.value.text()?.to_owned();
            Some((entry.key.clone(), value, comments_above(text, entry)))
        };
        Ok(Self { entries: config.entries().iter().filter_map(entry).collect() })
    }

    /// Returns the default ConfigMap of a release.
    pub fn built_in(version: &Version) -> Self {
        let entry = |key: &Key| {
            let value = key.default_at(version)?.to_owned();
            let comment = key.comment.iter().map(|comment| format!("# {comment}")).collect();
            Some((key.key.clone(), value, comment))
        };
        Self { entries: keys::all().filter_map(entry).collect() }
    }

    /// Returns the template as a manifest.
    pub fn manifest(&self) -> String {
        let entries = self.entries.iter();
        let lines = entries
            .flat_map(|(key, value, comments)| comments.iter().cloned().chain(scalar::entry(key, value)));
        scalar::manifest(lines)
    }

    /// Returns the value of a key.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.entry(key).map(|(_, value, _)| value.as_str())
    }

    /// Returns the keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, ..)| key.as_str())
    }

    pub(super) fn comments(&self, key: &str) -> &[String] {
        self.entry(key).map_or(&[], |(_, _, comments)| comments)
    }

    fn entry(&self, key: &str) -> Option<&(String, String, Vec<String>)> {
        self.entries.iter().find(|(name, ..)| name == key)
    }
}
