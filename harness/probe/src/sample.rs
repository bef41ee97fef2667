//! What became of one planned probe.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::flow::FlowSpec;

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Answered, and rightly.
    Answered,
    /// Answered within the deadline, but later than the flow's slow threshold.
    Slow,
    /// No answer within the deadline.
    Lost,
    /// Held connections: answered after the deadline, or never sent because an earlier request held the
    /// connection past the deadline. The connection itself was not cut.
    Stalled,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the answer.
    Closed,
    /// The connection, or the datagram, was refused.
    Refused,
    /// No route, or the local firewall did not let it out.
    Unreachable,
    /// Answered with something else than what was asked for.
    WrongAnswer,
    /// Answered with an HTTP status other than 200.
    Http(u16),
    /// Answered with a DNS response code other than 0 (no error).
    Rcode(u16),
    /// Not sent: the prober came to it after its deadline. Says nothing about the network.
    Missed,
}

impl Class {
    /// Says whether an answer came through from the server.
    #[must_use]
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Answered | Self::Slow)
    }

    /// Classes a socket error.
    pub(crate) fn of_error(error: &io::Error) -> Self {
        use io::ErrorKind as E;
        match error.kind() {
            E::ConnectionRefused => Self::Refused,
            E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe => Self::Reset,
            E::TimedOut => Self::Lost,
            E::HostUnreachable | E::NetworkUnreachable | E::NetworkDown | E::PermissionDenied => {
                Self::Unreachable
            }
            E::UnexpectedEof => Self::Closed,
            // What is left are local shortages (ports, buffers): the probe could not leave this host.
            _ => Self::Unreachable,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Answered => "answered",
            Self::Slow => "slow",
            Self::Lost => "lost",
            Self::Stalled => "stalled",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::WrongAnswer => "wrong-answer",
            Self::Http(status) => return f.pad(&format!("http-{status}")),
            Self::Rcode(code) => return f.pad(&format!("rcode-{code}")),
            Self::Missed => "missed",
        };
        f.pad(word)
    }
}

/// One planned probe. Offsets are µs after its due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Number within the flow, from 0.
    pub seq: u32,
    /// When it was due.
    pub due_ns: u64,
    /// What became of it.
    pub class: Class,
    /// How late the prober came to it.
    pub late_us: u32,
    /// When it was sent; absent when it never was.
    pub sent_us: Option<u32>,
    /// When its answer, or its failure, was known; absent when nothing came.
    pub ended_us: Option<u32>,
    /// Held flows: it is the first probe that a cut of the connection hit.
    pub cut: bool,
}

impl Sample {
    /// The time at which the prober came to it.
    #[must_use]
    pub fn taken_up_ns(&self) -> u64 {
        self.due_ns + u64::from(self.late_us) * 1_000
    }

    /// The time at which its answer or failure was known, or its due time when nothing came.
    #[must_use]
    pub fn ended_ns(&self) -> u64 {
        self.due_ns + u64::from(self.ended_us.unwrap_or(0)) * 1_000
    }
}

/// Everything that one flow's probes brought back, ordered by due time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSamples {
    /// The flow.
    pub flow: FlowSpec,
    /// When probe 0 was due.
    pub start_ns: u64,
    /// The samples, one a planned probe, none left out.
    pub samples: Vec<Sample>,
    /// Why the record is incomplete: no samples at all, or none until the end.
    pub fault: Option<String>,
}

impl FlowSamples {
    /// Returns the samples due in `[from_ns, to_ns)`.
    #[must_use]
    pub fn window(&self, from_ns: u64, to_ns: u64) -> &[Sample] {
        &self.samples[self.bounds(from_ns, to_ns)]
    }

    /// Returns the same with the sample before it where that was good: an outage that begins with the first sample of the
    /// window began after that one.
    pub(crate) fn window_and_before(&self, from_ns: u64, to_ns: u64) -> &[Sample] {
        let Range { start, end } = self.bounds(from_ns, to_ns);
        let before = start.checked_sub(1).filter(|before| self.flow.is_good(self.samples[*before].class));
        &self.samples[before.unwrap_or(start)..end]
    }

    fn bounds(&self, from_ns: u64, to_ns: u64) -> Range<usize> {
        let from = self.samples.partition_point(|sample| sample.due_ns < from_ns);
        let to = self.samples.partition_point(|sample| sample.due_ns < to_ns);
        from..to.max(from)
    }
}

/// Probes by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<Class, u64>);

impl Counts {
    /// Counts the samples of a flow.
    #[must_use]
    pub fn of(samples: &[Sample]) -> Self {
        let mut counts = BTreeMap::new();
        for sample in samples {
            *counts.entry(sample.class).or_insert(0) += 1;
        }
        Self(counts)
    }
}

impl Serialize for Class {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::from_word(&word).ok_or_else(|| serde::de::Error::custom(format!("no such class: {word}")))
    }
}

impl Class {
    /// Every class without a number of its own, with the letter that stands for it in a batch.
    pub(crate) const LETTERS: [(Self, char); 10] = [
        (Self::Answered, 'a'),
        (Self::Slow, 's'),
        (Self::Lost, 'l'),
        (Self::Stalled, 't'),
        (Self::Reset, 'r'),
        (Self::Closed, 'c'),
        (Self::Refused, 'f'),
        (Self::Unreachable, 'u'),
        (Self::WrongAnswer, 'w'),
        (Self::Missed, 'm'),
    ];

    /// Reads what [`fmt::Display`] writes.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        if let Some(status) = word.strip_prefix("http-") {
            return status.parse().ok().map(Self::Http);
        }
        if let Some(code) = word.strip_prefix("rcode-") {
            return code.parse().ok().map(Self::Rcode);
        }
        Self::LETTERS.iter().map(|(class, _)| *class).find(|class| class.to_string() == word)
    }
}
