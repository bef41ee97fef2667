//! What became of one probe.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::spelling::UnknownWord;

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The right answer came within the deadline.
    Answered,
    /// The right answer came within the deadline, but after the flow's slow threshold.
    Slow,
    /// No answer came within the deadline.
    Lost,
    /// Held connections: the answer came after the deadline, or the probe was never sent because an earlier request
    /// occupied the connection past the deadline. The connection itself was not cut.
    Stalled,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the answer.
    Closed,
    /// The connection, or the datagram, was refused.
    Refused,
    /// There was no route, or the local firewall dropped the probe.
    Unreachable,
    /// The answer was not the expected one.
    WrongAnswer,
    /// The answer was an HTTP status other than 200.
    Http(u16),
    /// The answer was a DNS response code other than 0 (no error).
    Rcode(u16),
    /// The probe was not sent: the prober was later than the deadline. It says nothing about the network.
    Missed,
}

impl Class {
    /// Every class that has no number of its own, with its spelling.
    const WORDS: [(Self, &'static str); 10] = [
        (Self::Answered, "answered"),
        (Self::Slow, "slow"),
        (Self::Lost, "lost"),
        (Self::Stalled, "stalled"),
        (Self::Reset, "reset"),
        (Self::Closed, "closed"),
        (Self::Refused, "refused"),
        (Self::Unreachable, "unreachable"),
        (Self::WrongAnswer, "wrong-answer"),
        (Self::Missed, "missed"),
    ];

    /// Returns whether the right answer came within the deadline.
    #[must_use]
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Answered | Self::Slow)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(status) => f.pad(&format!("http-{status}")),
            Self::Rcode(code) => f.pad(&format!("rcode-{code}")),
            class => f.pad(Self::WORDS.iter().find(|(own, _)| own == class).map_or("", |(_, word)| word)),
        }
    }
}

impl FromStr for Class {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let number = |prefix| word.strip_prefix(prefix).and_then(|number: &str| number.parse().ok());
        let known = || Self::WORDS.iter().find(|(_, own)| *own == word).map(|(class, _)| *class);
        number("http-")
            .map(Self::Http)
            .or_else(|| number("rcode-").map(Self::Rcode))
            .or_else(known)
            .ok_or_else(|| UnknownWord {
                set: "probe class",
                word: word.to_owned(),
                known: Self::WORDS
                    .iter()
                    .map(|(_, word)| *word)
                    .chain(["http-STATUS", "rcode-CODE"])
                    .collect(),
            })
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Class {
    fn schema_name() -> Cow<'static, str> {
        "Class".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = Self::WORDS.iter().map(|(_, word)| *word).collect();
        json_schema!({ "type": "string", "pattern": format!("^({}|http-[0-9]+|rcode-[0-9]+)$", words.join("|")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_read_back() {
        let numbered = [Class::Http(503), Class::Rcode(3)];
        for class in Class::WORDS.iter().map(|(class, _)| *class).chain(numbered) {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        let error = "vanished".parse::<Class>().unwrap_err().to_string();
        assert!(error.contains("wrong-answer"), "{error}");
    }
}
