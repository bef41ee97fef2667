//! The releases that the guide knows, and the resolution of version specs.

use std::fmt;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{self, Confidence, Span};
use model::{Minor, Version, VersionSpec};

/// One minor release line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The minor.
    pub minor: Minor,
    /// Its newest patch release.
    pub latest: Version,
    /// Kubernetes minors that it was tested with; absent if no source names them.
    pub kubernetes: Option<Span<Minor>>,
    /// Folder of the manifests or the chart in its source release.
    pub manifests: String,
    /// Patch releases that have a published Helm chart.
    pub chart: Option<Span<Version>>,
    /// Registry of its images.
    pub registry: String,
    /// Registry of its older patches.
    pub registry_before: Option<OlderRegistry>,
    /// Where this was read.
    pub source: String,
    /// How certain it is.
    pub confidence: Confidence,
}

/// The registry of the older patches of a minor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OlderRegistry {
    /// First patch in the newer registry.
    pub patch: Version,
    /// The older registry.
    pub registry: String,
}

impl Line {
    /// Returns the registry that holds the images of a release.
    pub fn registry_of(&self, version: &Version) -> &str {
        match &self.registry_before {
            Some(older) if *version < older.patch => &older.registry,
            _ => &self.registry,
        }
    }
}

/// A version that the guide does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {requested} is unknown{}", hint(.nearest))]
pub struct UnknownVersion {
    /// The requested version.
    pub requested: String,
    /// The nearest known releases, older first.
    pub nearest: Vec<Version>,
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| data::embedded!("versions"));

/// Returns every known minor, oldest first.
pub fn lines() -> &'static [Line] {
    &LINES
}

/// Returns the release line of a minor.
pub fn line(minor: Minor) -> Option<&'static Line> {
    lines().iter().find(|line| line.minor == minor)
}

/// Returns the latest release of the preceding minor.
pub fn predecessor(version: &Version) -> Option<&'static Version> {
    lines().iter().rev().find(|line| line.minor < version.minor()).map(|line| &line.latest)
}

/// Finds the release that a version spec names; a wildcard names the latest known patch.
///
/// # Errors
/// Returns the nearest known releases when the version is unknown.
pub fn resolve(spec: &VersionSpec) -> Result<Version, UnknownVersion> {
    let (minor, exact) = match spec {
        VersionSpec::Latest(minor) => (*minor, None),
        VersionSpec::Exact(version) => (version.minor(), Some(version)),
    };
    match (line(minor), exact) {
        (Some(line), None) => Ok(line.latest.clone()),
        (Some(line), Some(version)) if *version <= line.latest => Ok(version.clone()),
        (Some(line), Some(version)) => {
            Err(UnknownVersion { requested: version.to_string(), nearest: vec![line.latest.clone()] })
        }
        (None, _) => Err(UnknownVersion { requested: spec.to_string(), nearest: neighbours(minor) }),
    }
}

/// Returns the latest releases of the minors on both sides of an unknown one.
fn neighbours(minor: Minor) -> Vec<Version> {
    let older = lines().iter().rev().find(|line| line.minor < minor);
    let newer = lines().iter().find(|line| line.minor > minor);
    older.into_iter().chain(newer).map(|line| line.latest.clone()).collect()
}

fn hint(nearest: &[Version]) -> impl fmt::Display {
    let names: Vec<_> = nearest.iter().map(ToString::to_string).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!("; the nearest known release is {one}"),
        many => format!("; the nearest known releases are {}", many.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn lines_are_sorted_and_consistent() {
        assert!(lines().is_sorted_by(|a, b| a.minor < b.minor));
        for line in lines() {
            assert_eq!(line.latest.minor(), line.minor);
            assert!(line.chart.as_ref().is_none_or(|chart| chart.to <= line.latest), "{}", line.minor);
        }
    }

    #[rstest]
    #[case::wildcard("1.5", "1.5.13")]
    #[case::exact("1.6.4", "1.6.4")]
    #[case::pre_release("1.7.0-rc10", "1.7.0-rc10")]
    fn resolves(#[case] spec: &str, #[case] version: &str) {
        assert_eq!(resolve(&spec.parse().unwrap()).unwrap().to_string(), version);
    }

    #[rstest]
    #[case::patch_too_new("1.6.99", "version 1.6.99 is unknown; the nearest known release is 1.6.12")]
    #[case::minor_too_old("0.9.1", "version 0.9.1 is unknown; the nearest known release is 1.0.7")]
    fn names_the_nearest(#[case] spec: &str, #[case] message: &str) {
        assert_eq!(resolve(&spec.parse().unwrap()).unwrap_err().to_string(), message);
    }

    #[test]
    fn the_nearest_of_a_minor_that_is_too_new_is_the_newest() {
        let newest = &lines().last().unwrap().latest;
        let message = format!("version 1.99.x is unknown; the nearest known release is {newest}");
        assert_eq!(resolve(&"1.99".parse().unwrap()).unwrap_err().to_string(), message);
    }
}
