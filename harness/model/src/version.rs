//! Versions of Cilium, as people write them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A minor release line, for example `1.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
}

/// One release, for example `1.5.13` or `1.7.0-rc10`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
    /// Patch number.
    pub patch: u16,
    /// Pre-release as written in the tag, for example `rc10`.
    pub pre: Option<String>,
}

/// What a person types for a version: a release or a whole minor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionSpec {
    /// `1.5`, `1.5.x`: the latest patch of the minor.
    Latest(Minor),
    /// `v1.5.13`, `1.7.0-rc10`: that release.
    Exact(Version),
}

/// Text that is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a version: write 1.5, 1.5.x, v1.5.13 or 1.7.0-rc10")]
pub struct ParseVersionError {
    text: String,
}

impl Minor {
    /// Creates a minor.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Returns the release of this minor with the given patch.
    pub fn patch(self, patch: u16) -> Version {
        Version::new(self.major, self.minor, patch)
    }
}

impl Version {
    /// Creates a release that is not a pre-release.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch, pre: None }
    }

    /// Returns the minor this release belongs to.
    pub fn minor(&self) -> Minor {
        Minor::new(self.major, self.minor)
    }

    /// Returns the image tag, for example `v1.5.13`.
    pub fn tag(&self) -> String {
        format!("v{self}")
    }

    /// Splits a pre-release into word and number, so that `rc9` sorts before `rc10`.
    fn pre_key(&self) -> Option<(&str, u32)> {
        let pre = self.pre.as_deref()?;
        let digits = pre.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (word, number) = pre.split_at(pre.len() - digits);
        Some((word.trim_end_matches('.'), number.parse().unwrap_or(0)))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |v: &Self| (v.major, v.minor, v.patch);
        // A release is newer than its own pre-releases.
        let pre = match (self.pre_key(), other.pre_key()) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(&b),
        };
        numbers(self).cmp(&numbers(other)).then(pre).then_with(|| self.pre.cmp(&other.pre))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        match &self.pre {
            Some(pre) => write!(f, "-{pre}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for VersionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest(minor) => write!(f, "{minor}.x"),
            Self::Exact(version) => version.fmt(f),
        }
    }
}

impl FromStr for VersionSpec {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseVersionError { text: text.to_owned() })
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse(text) {
            Some(VersionSpec::Exact(version)) => Ok(version),
            _ => Err(ParseVersionError { text: text.to_owned() }),
        }
    }
}

impl FromStr for Minor {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse(text) {
            Some(VersionSpec::Latest(minor)) => Ok(minor),
            _ => Err(ParseVersionError { text: text.to_owned() }),
        }
    }
}

fn parse(text: &str) -> Option<VersionSpec> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (numbers, pre) = match text.split_once('-') {
        Some((numbers, pre)) => (numbers, Some(pre)),
        None => (text, None),
    };
    let mut parts = numbers.split('.');
    let minor = Minor::new(number(parts.next()?)?, number(parts.next()?)?);
    let patch = parts.next();
    if parts.next().is_some() {
        return None;
    }
    match (patch, pre) {
        (None | Some("x" | "X" | "*"), None) => Some(VersionSpec::Latest(minor)),
        (Some(patch), pre) => {
            let pre =
                pre.map(|pre| is_pre_release(pre).then(|| pre.to_owned()).ok_or(())).transpose().ok()?;
            Some(VersionSpec::Exact(Version { pre, ..minor.patch(number(patch)?) }))
        }
        (None, Some(_)) => None,
    }
}

fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn is_pre_release(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.')
}

/// Implements text-based serde and schema for a type that reads and writes itself.
macro_rules! as_text {
    ($type:ty, $name:literal, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

as_text!(Minor, "Minor", r"^\d+\.\d+$");
as_text!(Version, "Version", r"^\d+\.\d+\.\d+(-[a-z][a-z0-9.]*)?$");

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::minor("1.5", "1.5.x")]
    #[case::wildcard("1.5.x", "1.5.x")]
    #[case::tag("v1.5.13", "1.5.13")]
    #[case::release_candidate("1.7.0-rc10", "1.7.0-rc10")]
    #[case::dotted_pre_release("v1.16.0-pre.2", "1.16.0-pre.2")]
    #[case::spaces(" 1.6.4\n", "1.6.4")]
    fn reads(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(text.parse::<VersionSpec>().map(|spec| spec.to_string()), Ok(shown.to_owned()));
    }

    #[rstest]
    #[case::empty("")]
    #[case::one_number("1")]
    #[case::four_numbers("1.2.3.4")]
    #[case::word("latest")]
    #[case::plus("+1.5")]
    #[case::pre_release_of_minor("1.5-rc1")]
    #[case::pre_release_of_wildcard("1.5.x-rc1")]
    #[case::empty_pre_release("1.5.0-")]
    #[case::overflow("1.99999.0")]
    fn refuses(#[case] text: &str) {
        assert!(text.parse::<VersionSpec>().is_err());
    }

    #[test]
    fn sorts_by_number_and_pre_releases_first() {
        let sorted = ["1.0.7", "1.7.0-rc9", "1.7.0-rc10", "1.7.0", "1.7.16", "1.10.0"];
        let versions = sorted.map(|text| text.parse::<Version>().unwrap());
        assert!(versions.is_sorted_by(|a, b| a < b));
    }
}
