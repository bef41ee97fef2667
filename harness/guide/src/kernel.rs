//! Kernel versions, as `uname -r` prints them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A kernel version; distribution suffixes and patch levels do not matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
}

/// Text that is not a kernel version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a kernel version: write 4.9 or what `uname -r` prints")]
pub struct ParseKernelError {
    text: String,
}

impl FromStr for Kernel {
    type Err = ParseKernelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim().split(['.', '-', '+']).map(|part| part.parse().ok());
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(ParseKernelError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl<'de> Deserialize<'de> for Kernel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::short("4.9", Some((4, 9)))]
    #[case::distribution("4.19.57-generic", Some((4, 19)))]
    #[case::two_digits("5.10.0+", Some((5, 10)))]
    #[case::word("linux", None)]
    #[case::major_only("5", None)]
    fn reads(#[case] text: &str, #[case] expected: Option<(u16, u16)>) {
        assert_eq!(text.parse::<Kernel>().ok().map(|kernel| (kernel.major, kernel.minor)), expected);
    }
}
