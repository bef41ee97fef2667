//! The version whose behaviour this instance has.

use std::fmt;
use std::str::FromStr;

/// A version of the subject, as in `v1.5.13`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The major number.
    pub major: u16,
    /// The minor number.
    pub minor: u16,
    /// The patch number.
    pub patch: u16,
}

/// Text that is not a version, or a version that the stand-in does not implement.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VersionError {
    /// The text does not have the form `v1.5.13`.
    #[error("{0:?} is not a version; write it as v1.5.13")]
    Malformed(String),
    /// The minor is not implemented.
    #[error("the stand-in does not implement {0}; choose one of 1.0 to 1.6")]
    NotPlayed(Version),
    /// The variable that names the version is missing.
    #[error("STANDIN_VERSION is not set; the image's configuration has to set it, as in v1.5.13")]
    Unset,
}

impl Version {
    /// The environment variable that names the version to play.
    pub const VARIABLE: &str = "STANDIN_VERSION";
    /// The newest version that the stand-in plays.
    pub const NEWEST: Self = Self { major: 1, minor: 6, patch: 12 };

    /// Reads the version from `STANDIN_VERSION`.
    pub(crate) fn from_env() -> Result<Self, VersionError> {
        std::env::var(Self::VARIABLE).map_err(|_| VersionError::Unset)?.parse()
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || VersionError::Malformed(text.to_owned());
        let bare = text.strip_prefix('v').unwrap_or(text);
        let numbers = bare.split_once('-').map_or(bare, |(numbers, _)| numbers);
        let parts: Vec<u16> =
            numbers.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| malformed())?;
        match parts[..] {
            [major, minor, patch] => Ok(Self { major, minor, patch }),
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::tag("v1.5.13", (1, 5, 13))]
    #[case::bare("1.6.12", (1, 6, 12))]
    #[case::with_content_hash("v1.6.12-0a1b2c", (1, 6, 12))]
    fn reads_a_tag(#[case] text: &str, #[case] (major, minor, patch): (u16, u16, u16)) {
        assert_eq!(text.parse(), Ok(Version { major, minor, patch }));
    }

    #[rstest]
    #[case::minor_only("1.5")]
    #[case::word("latest")]
    #[case::empty("")]
    fn refuses_what_is_no_version(#[case] text: &str) {
        assert_eq!(text.parse::<Version>(), Err(VersionError::Malformed(text.to_owned())));
    }
}
