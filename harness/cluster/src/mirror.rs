//! Registries that nodes pull from before others.

use std::str::FromStr;

/// A registry mirror: nodes pull from it first, and from the mirrored registry what the mirror lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The mirrored registry, as image references begin.
    pub(crate) host: String,
    /// URL of the mirror.
    pub(crate) address: String,
}

/// The text does not describe a mirror.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write it as HOST=URL, as in docker.io=http://192.168.0.2:5000")]
pub struct BadMirror;

impl FromStr for Mirror {
    type Err = BadMirror;

    fn from_str(text: &str) -> Result<Self, BadMirror> {
        let (host, address) = text.split_once('=').ok_or(BadMirror)?;
        let place = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
        let in_host = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
        let is_host = host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.chars().all(in_host);
        let plain = |c: char| c.is_ascii_graphic() && !"\"\\".contains(c);
        if !is_host || !place.is_some_and(|place| !place.is_empty() && place.chars().all(plain)) {
            return Err(BadMirror);
        }
        Ok(Self { host: host.to_owned(), address: address.to_owned() })
    }
}

impl std::fmt::Display for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.host, self.address)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("docker.io=http://192.168.0.2:5000", true)]
    #[case::with_a_port("registry.lab:5000=https://mirror.lab/v2", true)]
    #[case::no_address("docker.io", false)]
    #[case::no_scheme("docker.io=mirror:5000", false)]
    #[case::no_host("=http://mirror:5000", false)]
    #[case::empty_address("docker.io=http://", false)]
    #[case::path_traversal("../..=http://mirror:5000", false)]
    #[case::a_repository("docker.io/library=http://mirror:5000", false)]
    #[case::quote("docker.io=http://mirror\"]", false)]
    fn mirrors_are_read(#[case] text: &str, #[case] right: bool) {
        let read = text.parse::<Mirror>();
        assert_eq!(read.as_ref().map(ToString::to_string).ok().as_deref(), right.then_some(text), "{read:?}");
    }
}
