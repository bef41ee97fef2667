//! The text format of samples, in the prober's output and on disk.
//!
//! A prober prints these lines:
//!
//! ```text
//! seatrial-probe/1 start {"clock":{…},"flows":[{"flow":"new-tcp/…","start_ns":1,"period_ns":2},…]}
//! seatrial-probe/1 batch <number> <until> <flow index>=<planned>:<samples> <flow index>=…
//! ```
//!
//! `until` is the time up to which the record is complete, in ns after the start of flow 0: every probe that fell due
//! before is in `planned`, and everything decided before was printed. It is `-` in all lines of a batch but the last.
//! `planned` is how many probes of the flow have fallen due so far. Samples follow one another without a
//! separator, each as `[#seq]class late [~wait] [+took] [!]`, without the spaces:
//!
//! - `#seq` only where it is not the number of the sample before plus one;
//! - `class`: a letter, or three digits after `h` for an HTTP status, after `d` for a DNS response code;
//! - `late`: lateness of the prober, µs after the due time;
//! - `~wait`: further µs until it was sent, absent for 0; `~-` when it was never sent;
//! - `+took`: µs after the due time at which its answer or failure was known;
//! - `!`: the first probe that a cut of the connection hit.
//!
//! Times are on the clock of the prober's machine, which the start line describes; the reader converts them to its own.
//! Batches are numbered, so that a reader can skip duplicates.

use std::fmt::{self, Write as _};

use model::Class;
use serde::{Deserialize, Serialize};

use crate::clock::Machine;
use crate::sample::Sample;

/// The prefix of every line of a prober.
pub(crate) const PREFIX: &str = "seatrial-probe/1 ";

/// Every class that has no number of its own, with its letter.
const LETTERS: [(Class, char); 10] = [
    (Class::Answered, 'a'),
    (Class::Slow, 's'),
    (Class::Lost, 'l'),
    (Class::Stalled, 't'),
    (Class::Reset, 'r'),
    (Class::Closed, 'c'),
    (Class::Refused, 'f'),
    (Class::Unreachable, 'u'),
    (Class::WrongAnswer, 'w'),
    (Class::Missed, 'm'),
];

/// Longest line a prober prints; container runtimes split lines at 16 KiB.
const LINE_BYTES: usize = 8 * 1024;

/// A flow in the `start` line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Flow id.
    pub(crate) flow: String,
    /// When probe 0 is due.
    pub(crate) start_ns: u64,
    /// Time between two probes.
    pub(crate) period_ns: u64,
}

/// The content of a `start` line.
#[derive(Serialize, Deserialize)]
struct Started {
    clock: Machine,
    flows: Vec<Start>,
}

/// The part of a batch that belongs to one flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Index of the flow in the `start` line.
    pub(crate) flow: usize,
    /// Probes that have fallen due so far.
    pub(crate) planned: u32,
    /// Samples in the order in which they were decided.
    pub(crate) samples: Vec<Sample>,
}

/// A line of a prober.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The flows that it probes.
    Start(Vec<Start>),
    /// Samples.
    Batch {
        /// Number of the line, from 0.
        number: u64,
        /// The time up to which the record is complete, ns; absent when more lines of the batch follow.
        until_ns: Option<u64>,
        /// The samples by flow.
        parts: Vec<Part>,
    },
}

/// Why a line could not be read.
#[derive(Debug, thiserror::Error)]
#[error("not a line of a prober ({what}): {line:.80}")]
pub(crate) struct LineError {
    what: &'static str,
    line: String,
}

/// Writes the `start` line.
pub(crate) fn start_line(flows: &[Start]) -> String {
    let started = Started { clock: Machine::here().clone(), flows: flows.to_vec() };
    let json = serde_json::to_string(&started).unwrap_or_default();
    format!("{PREFIX}start {json}\n")
}

/// Writes batch lines that complete the record up to `elapsed_ns` after the start of flow 0; returns them with the
/// number of the next batch.
pub(crate) fn batch_lines(mut number: u64, elapsed_ns: u64, parts: &[Part]) -> (Vec<String>, u64) {
    let mut bodies = Vec::new();
    let mut body = String::new();
    for part in parts {
        let mut rest = part.samples.as_slice();
        loop {
            // A sample takes 36 bytes at most.
            let room = (LINE_BYTES.saturating_sub(body.len()) / 36).max(1);
            let (now, later) = rest.split_at(rest.len().min(room));
            let text = format!(" {}={}:{}", part.flow, part.planned, Encoded(now));
            body.push_str(&text);
            rest = later;
            if rest.is_empty() {
                break;
            }
            bodies.push(std::mem::take(&mut body));
        }
        if body.len() > LINE_BYTES {
            bodies.push(std::mem::take(&mut body));
        }
    }
    if !body.is_empty() || bodies.is_empty() {
        bodies.push(body);
    }
    let last = bodies.len() - 1;
    let line = |(index, body): (usize, String)| {
        let until = if index == last { elapsed_ns.to_string() } else { "-".to_owned() };
        let line = format!("{PREFIX}batch {number} {until}{body}\n");
        number += 1;
        line
    };
    let lines = bodies.into_iter().enumerate().map(line).collect();
    (lines, number)
}

/// Reads a line; `None` when it is not a prober's.
pub(crate) fn parse_line(line: &str, flows: &[Start]) -> Result<Option<Line>, LineError> {
    let Some(rest) = line.strip_prefix(PREFIX) else { return Ok(None) };
    let error = |what| LineError { what, line: line.to_owned() };
    if let Some(json) = rest.strip_prefix("start ") {
        let Started { clock, mut flows } =
            serde_json::from_str(json).map_err(|_| error("start is not JSON"))?;
        for flow in &mut flows {
            flow.start_ns = clock.moved_to(Machine::here(), flow.start_ns);
        }
        return Ok(Some(Line::Start(flows)));
    }
    let batch = rest.strip_prefix("batch ").ok_or_else(|| error("neither start nor batch"))?;
    let mut words = batch.split_ascii_whitespace();
    let number = words.next().and_then(|n| n.parse().ok()).ok_or_else(|| error("batch without number"))?;
    let until_ns = match words.next() {
        Some("-") => None,
        word => {
            let until = || flows.first()?.start_ns.checked_add(word?.parse().ok()?);
            Some(until().ok_or_else(|| error("batch without time"))?)
        }
    };
    let parts = words
        .map(|word| {
            let (flow, rest) = word.split_once('=')?;
            let (planned, samples) = rest.split_once(':')?;
            let flow: usize = flow.parse().ok()?;
            let start = flows.get(flow)?;
            let samples = decode(samples, start.start_ns, start.period_ns)?;
            Some(Part { flow, planned: planned.parse().ok()?, samples })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| error("samples cannot be read"))?;
    Ok(Some(Line::Batch { number, until_ns, parts }))
}

/// Samples in their text form.
pub(crate) struct Encoded<'a>(pub(crate) &'a [Sample]);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut next = None;
        for sample in self.0 {
            if next != Some(sample.seq) {
                write!(f, "#{}", sample.seq)?;
            }
            next = sample.seq.checked_add(1);
            match (sample.class, LETTERS.iter().find(|(class, _)| *class == sample.class)) {
                (Class::Http(status), _) => write!(f, "h{:03}", status.min(999))?,
                (Class::Rcode(code), _) => write!(f, "d{:03}", code.min(999))?,
                (_, letter) => f.write_char(letter.map_or('m', |(_, letter)| *letter))?,
            }
            write!(f, "{}", sample.late_us)?;
            match sample.sent_us {
                None => f.write_str("~-")?,
                Some(sent) if sent > sample.late_us => write!(f, "~{}", sent - sample.late_us)?,
                Some(_) => {}
            }
            if let Some(took) = sample.ended_us {
                write!(f, "+{took}")?;
            }
            if sample.cut {
                f.write_char('!')?;
            }
        }
        Ok(())
    }
}

/// Reads samples back from their text form; `None` when it is not one.
pub(crate) fn decode(text: &str, start_ns: u64, period_ns: u64) -> Option<Vec<Sample>> {
    let mut cursor = Cursor(text.as_bytes());
    let mut samples = Vec::new();
    let mut next = 0u32;
    while let Some(byte) = cursor.take() {
        let letter = if byte == b'#' {
            next = cursor.number()?;
            cursor.take()?
        } else {
            byte
        };
        let class = match letter {
            b'h' => Class::Http(cursor.three_digits()?),
            b'd' => Class::Rcode(cursor.three_digits()?),
            letter => LETTERS.iter().find(|(_, l)| *l == char::from(letter))?.0,
        };
        let late_us: u32 = cursor.number()?;
        let sent_us = match cursor.skip(b'~') {
            false => Some(late_us),
            true if cursor.skip(b'-') => None,
            true => Some(late_us.checked_add(cursor.number()?)?),
        };
        let ended_us = if cursor.skip(b'+') { Some(cursor.number()?) } else { None };
        let cut = cursor.skip(b'!');
        let due_ns = start_ns.checked_add(u64::from(next).checked_mul(period_ns)?)?;
        samples.push(Sample { seq: next, due_ns, class, late_us, sent_us, ended_us, cut });
        next = next.checked_add(1)?;
    }
    Some(samples)
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn number(&mut self) -> Option<u32> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    fn three_digits(&mut self) -> Option<u16> {
        let (digits, rest) = self.0.split_at_checked(3)?;
        self.0 = rest;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn starts() -> Vec<Start> {
        vec![Start { flow: "f".into(), start_ns: 1_000, period_ns: 10_000 }; 3]
    }

    fn class() -> impl Strategy<Value = Class> {
        prop_oneof![
            proptest::sample::select(LETTERS.map(|(class, _)| class).to_vec()),
            (100u16..1000).prop_map(Class::Http),
            (1u16..1000).prop_map(Class::Rcode),
        ]
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let offset = || proptest::option::of(0u32..1_000_000);
        (0u32..5_000, class(), 0u32..900_000, offset(), offset(), any::<bool>()).prop_map(
            |(seq, class, late_us, wait, ended_us, cut)| Sample {
                seq,
                due_ns: 1_000 + u64::from(seq) * 10_000,
                class,
                late_us,
                sent_us: wait.map(|wait| late_us + wait),
                ended_us,
                cut,
            },
        )
    }

    proptest! {
        #[test]
        fn batches_survive_the_way(parts in proptest::collection::vec(proptest::collection::vec(sample(), 0..900), 3)) {
            let parts: Vec<_> = parts
                .into_iter()
                .enumerate()
                .map(|(flow, samples)| Part { flow, planned: 5_000, samples })
                .collect();
            let (lines, next) = batch_lines(7, 50_000, &parts);
            prop_assert_eq!(next, 7 + lines.len() as u64);
            let mut back = vec![Vec::new(); 3];
            for (expected, line) in (7..).zip(&lines) {
                prop_assert!(line.len() <= LINE_BYTES + 1_000, "{} bytes", line.len());
                let parsed = parse_line(line.trim_end(), &starts()).unwrap();
                let Some(Line::Batch { number, until_ns, parts }) = parsed else { panic!("{line}") };
                prop_assert_eq!(number, expected);
                prop_assert_eq!(until_ns, (number + 1 == next).then_some(51_000));
                for part in parts {
                    back[part.flow].extend(part.samples);
                }
            }
            prop_assert_eq!(back, parts.into_iter().map(|part| part.samples).collect::<Vec<_>>());
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            drop(decode(&text, 0, 1));
            drop(parse_line(&format!("{PREFIX}batch {text}"), &starts()));
        }
    }

    #[test]
    fn steady_traffic_is_short() {
        let samples: Vec<_> = (0..100)
            .map(|seq| Sample {
                seq,
                due_ns: 0,
                class: Class::Answered,
                late_us: 81,
                sent_us: Some(81),
                ended_us: Some(310),
                cut: false,
            })
            .collect();
        let text = Encoded(&samples).to_string();
        assert_eq!(&text[..16], "#0a81+310a81+310");
        assert!(text.len() < 8 * samples.len());
    }

    #[test]
    fn other_output_of_the_pod_is_passed_over() {
        assert!(parse_line("thread 'main' panicked", &[]).unwrap().is_none());
        assert!(parse_line("seatrial-probe/1 batch x", &[]).is_err());
    }
}
