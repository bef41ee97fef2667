//! What becomes of the table of tracked connections when another version, or another size, takes it over.
//!
//! The table outlives the agent. Beside it lies a note of how it was made; an agent that cannot go on with such a table
//! clears it, and from then on nothing is known of the connections that were in it.

use serde::{Deserialize, Serialize};

use crate::agent::config::{ConfigError, Settings};

/// How a version makes its table, and what it does with one that was made otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionTable {
    /// The format that the version writes.
    pub(crate) format: u8,
    /// Older formats that it can go on with.
    pub(crate) reads: &'static [u8],
    /// What it does with the others.
    pub(crate) unreadable: Unreadable,
    /// Where it takes the size of the TCP table from.
    pub(crate) tcp_size: TableSize,
    /// Where it takes the size of the table of all other connections from.
    pub(crate) any_size: TableSize,
    /// What it does with TCP connections that the table does not know.
    pub(crate) unknown: UnknownTcp,
}

/// What happens to a table in a format that the version cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The agent ends in an error until someone clears the table.
    Fail,
    /// The agent takes pods off the network, clears the table, and lets them on again with its first rules.
    Clear,
}

/// The number of connections that a table is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableSize {
    /// Whatever is configured.
    Fixed(u32),
    /// An option of this name, or else this size.
    Option(&'static str, u32),
}

/// What happens to a TCP packet that begins no connection and belongs to none that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UnknownTcp {
    /// It is tracked from here on, if policy lets it pass. The answer of a service's backend has to wait for its client:
    /// only then is it known what to translate it back to.
    #[default]
    PickUp,
    /// It is answered with a reset.
    Refuse,
}

/// The note that describes the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Made {
    /// Its format.
    pub(crate) format: u8,
    /// Its size.
    pub(crate) tcp_size: u32,
}

/// What the agent has to do with the table that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takeover {
    /// Go on with it.
    Keep,
    /// Clear it, with pods off the network until the first rules are in force.
    Clear,
    /// Clear what is known of TCP.
    ClearTcp,
}

/// A table that the version cannot go on with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the connection table has format {found}, and this version reads no format above {own}; \
     set clean-cilium-bpf-state to true in ConfigMap cilium-config for the downgrade"
)]
pub(crate) struct UnreadableTable {
    found: u8,
    own: u8,
}

impl TableSize {
    /// The size, with these settings.
    pub(crate) fn read(self, settings: &Settings) -> Result<u32, ConfigError> {
        match self {
            Self::Fixed(size) => Ok(size),
            Self::Option(key, default) => settings.number(key, default),
        }
    }
}

impl ConnectionTable {
    /// How this version makes the table, with these settings.
    pub(crate) fn made(self, settings: &Settings) -> Result<Made, ConfigError> {
        Ok(Made { format: self.format, tcp_size: self.tcp_size.read(settings)? })
    }

    /// Decides what becomes of the table that was `found`, when it shall be as `wanted`.
    pub(crate) fn take_over(self, found: Option<Made>, wanted: Made) -> Result<Takeover, UnreadableTable> {
        let Some(found) = found else { return Ok(Takeover::Keep) };
        if found.format != self.format && !self.reads.contains(&found.format) {
            return match self.unreadable {
                Unreadable::Fail => Err(UnreadableTable { found: found.format, own: self.format }),
                Unreadable::Clear => Ok(Takeover::Clear),
            };
        }
        Ok(if found.tcp_size == wanted.tcp_size { Takeover::Keep } else { Takeover::ClearTcp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Behaviours;
    use rstest::rstest;

    /// What an agent does after another one with different settings.
    fn takeover(
        from: &str,
        before: &[(&str, &str)],
        to: &str,
        after: &[(&str, &str)],
    ) -> Result<Takeover, UnreadableTable> {
        let table = |version: &str| Behaviours::of(version.parse().unwrap()).unwrap().connection_table;
        let made = |version: &str, settings: &[(&str, &str)]| {
            table(version).made(&settings.iter().copied().collect()).unwrap()
        };
        table(to).take_over(Some(made(from, before)), made(to, after))
    }

    #[rstest]
    #[case::first_to_second("1.0.7", "1.1.6", Takeover::Keep)]
    #[case::another_format("1.1.6", "1.2.8", Takeover::Clear)]
    #[case::and_back("1.2.8", "1.1.6", Takeover::Clear)]
    #[case::same_format("1.2.8", "1.3.8", Takeover::Keep)]
    #[case::straight_to_1_5("1.2.8", "1.5.13", Takeover::Keep)]
    #[case::size_that_1_4_ignored("1.4.10", "1.5.13", Takeover::ClearTcp)]
    #[case::same_size("1.5.13", "1.6.12", Takeover::Keep)]
    #[case::far_jump("1.1.6", "1.6.12", Takeover::Clear)]
    fn versions_follow_each_other(#[case] from: &str, #[case] to: &str, #[case] expected: Takeover) {
        assert_eq!(takeover(from, &[], to, &[]), Ok(expected));
    }

    const OLD_SIZE: (&str, &str) = ("bpf-ct-global-tcp-max", "1000000");

    #[rstest]
    #[case::to_1_5_with_the_size_of_1_4("1.4.10", &[], "1.5.13", &[OLD_SIZE], Takeover::Keep)]
    #[case::another_size_in_1_6("1.6.12", &[], "1.6.12", &[OLD_SIZE], Takeover::ClearTcp)]
    #[case::size_of_1_3("1.3.8", &[], "1.3.8", &[("global-ct-max-tcp", "1000")], Takeover::ClearTcp)]
    #[case::ignored_by_1_4("1.4.10", &[], "1.4.10", &[("global-ct-max-tcp", "1000")], Takeover::Keep)]
    fn another_size_is_another_table(
        #[case] from: &str,
        #[case] before: &[(&str, &str)],
        #[case] to: &str,
        #[case] after: &[(&str, &str)],
        #[case] expected: Takeover,
    ) {
        assert_eq!(takeover(from, before, to, after), Ok(expected));
    }

    #[rstest]
    #[case::back_to_1_0("1.1.6", "1.0.7", 2, 1)]
    #[case::back_to_before_1_1_4("1.2.8", "1.1.3", 3, 2)]
    fn some_cannot_go_back(#[case] from: &str, #[case] to: &str, #[case] found: u8, #[case] own: u8) {
        assert_eq!(takeover(from, &[], to, &[]), Err(UnreadableTable { found, own }));
    }

    #[test]
    fn a_new_node_has_no_table() {
        let table = Behaviours::of("1.0.7".parse().unwrap()).unwrap().connection_table;
        let made = table.made(&Settings::default()).unwrap();
        assert_eq!(table.take_over(None, made), Ok(Takeover::Keep));
    }

    #[test]
    fn a_size_is_a_number() {
        let table = Behaviours::of("1.5.13".parse().unwrap()).unwrap().connection_table;
        let settings = [("bpf-ct-global-tcp-max", "many")].into_iter().collect();
        assert!(table.made(&settings).unwrap_err().to_string().contains("a number"));
    }
}
