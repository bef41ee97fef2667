//! Outages: maximal runs of bad samples, with bounds on their duration. Pure.
//!
//! Samples show when a flow worked and when it did not, never the moment between. An outage therefore lasts at least
//! from its first to its last bad sample, and at most from the last good sample before it to the answer of the first
//! good sample after it. A sample stands for the time at which the prober sent it. It stands for its due time where
//! probes have connections of their own and may overtake one another, and where the prober was so late that the machine
//! is to blame. An outage never begins before its first bad sample was sent.
//!
//! Some samples are doubtful. A bad sample that the prober sent too late says nothing about the network, and a bad
//! sample close to other late ones may be the machine's fault (see [`crate::noise`]). A connection that its peer cut
//! and an answer that a policy forbids are facts at any time. [`Outages`] has three readings of the samples: as they
//! were measured, and with every doubtful sample taken as good and as bad.

use std::ops::Range;

use model::Class;

use crate::flow::FlowSpec;
use crate::kinds;
use crate::noise::{Noise, is_fact, is_late, is_usable};
use crate::sample::{FlowSamples, Sample};

/// A run of unusable samples up to this long cannot hide an outage that any budget forbids, ns.
pub(crate) const SHORT_GAP_NS: u64 = 100_000_000;

/// Amid an outage, doubtful samples for at most this long between two clear bad ones are no recovery, ns.
///
/// Noise explains why a sample is bad, not that traffic recovered and broke again at that very moment.
const MOMENT_NS: u64 = 1_000_000_000;

/// An interval in which a flow did not have its expected result; for `deny` flows, a policy leak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Class of its first bad sample.
    pub class: Class,
    /// Bad samples.
    pub samples: u64,
    /// Time of the last good sample before; absent when there was none.
    pub last_good_ns: Option<u64>,
    /// Time of the first bad sample.
    pub first_bad_ns: u64,
    /// Time of the last bad sample.
    pub last_bad_ns: u64,
    /// Time of the first good sample after; absent while there was none.
    pub first_good_ns: Option<u64>,
    /// When that sample was answered.
    pub answered_ns: Option<u64>,
    /// Connections of a held flow that were cut in it.
    pub connections_cut: u64,
    /// The outage without its doubtful samples; `None` when all are doubtful.
    pub clear: Option<Clear>,
}

/// The part of an outage that the machine cannot have caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clear {
    /// Bad samples.
    pub samples: u64,
    /// Time of the first.
    pub first_bad_ns: u64,
    /// Time of the last.
    pub last_bad_ns: u64,
    /// Connections of a held flow that were cut.
    pub connections_cut: u64,
}

/// The outages of a flow in a window, in three readings of its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outages {
    /// As measured: samples that the prober sent too late are skipped.
    pub measured: Vec<Outage>,
    /// The best case: every doubtful sample is good, but for moments amid an outage.
    pub best: Vec<Outage>,
    /// The worst case: every doubtful sample is bad, but for runs of unusable samples too short to matter.
    pub worst: Vec<Outage>,
    /// The longest run of unusable samples, from the first to the last, ns.
    pub longest_gap_ns: u64,
}

impl Outage {
    /// Returns the lower bound of its duration, ns.
    #[must_use]
    pub fn min_ns(&self) -> u64 {
        self.last_bad_ns - self.first_bad_ns
    }

    /// Returns the upper bound of its duration, ns; `None` while no good sample surrounds it.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        Some(self.answered_ns?.saturating_sub(self.last_good_ns?))
    }

    /// Returns the outage without its doubtful samples; `None` when all are doubtful.
    #[must_use]
    pub fn without_noise(&self) -> Option<Self> {
        let Clear { samples, first_bad_ns, last_bad_ns, connections_cut } = self.clear?;
        Some(Self { samples, first_bad_ns, last_bad_ns, connections_cut, ..self.clone() })
    }

    /// Returns the interval in which it began: after the last good sample, not after the first bad one.
    #[must_use]
    pub fn began(&self) -> (u64, u64) {
        (self.last_good_ns.unwrap_or(self.first_bad_ns), self.first_bad_ns)
    }
}

/// What a sample shows about the network.
#[derive(Clone, Copy)]
enum Evidence {
    Good,
    Bad { doubtful: bool },
    Nothing,
}

impl Evidence {
    fn of(flow: &FlowSpec, sample: &Sample, noise: &Noise) -> Self {
        if !is_usable(flow, sample) {
            return Self::Nothing;
        }
        if flow.is_good(sample.class) {
            return Self::Good;
        }
        let excusable = flow.crosses_subject() && !is_fact(flow, sample);
        Self::Bad { doubtful: excusable && noise.covers(sample.due_ns, sample.ended_ns()) }
    }
}

/// Finds the outages of a flow among its samples, which are ordered by due time.
#[must_use]
pub fn outages(flow: &FlowSpec, samples: &[Sample], noise: &Noise) -> Vec<Outage> {
    read(flow, samples.iter().map(|sample| (sample, Evidence::of(flow, sample, noise))))
}

impl Outages {
    /// Finds the outages of a flow in `[from_ns, to_ns)`.
    ///
    /// A run of unusable samples that reaches over an end of the window counts as a whole.
    #[must_use]
    pub fn of(flow: &FlowSamples, from_ns: u64, to_ns: u64, noise: &Noise) -> Self {
        let spec = &flow.flow;
        let samples = flow.window_and_before(from_ns, to_ns);
        let mut shown: Vec<_> =
            samples.iter().map(|sample| (sample, Evidence::of(spec, sample, noise))).collect();
        take_doubtful_as_good(&mut shown);
        let whole = window_and_unusable(flow, from_ns, to_ns);
        let gaps = gaps(spec, whole);
        let in_long_gap = |sample: &Sample| {
            gaps.iter().any(|(from, to)| to - from > SHORT_GAP_NS && (*from..=*to).contains(&sample.due_ns))
        };
        let worst = whole.iter().map(|sample| {
            let evidence = match Evidence::of(spec, sample, noise) {
                Evidence::Nothing if in_long_gap(sample) => Evidence::Bad { doubtful: true },
                evidence => evidence,
            };
            (sample, evidence)
        });
        Self {
            measured: outages(spec, samples, noise),
            best: read(spec, shown.into_iter()),
            worst: read(spec, worst),
            longest_gap_ns: gaps.iter().map(|(from, to)| to - from).max().unwrap_or(0),
        }
    }
}

/// Takes doubtful samples as good, but skips them amid an outage where they are for a moment only.
fn take_doubtful_as_good(shown: &mut [(&Sample, Evidence)]) {
    let mut clear_bad_ns = None;
    let mut doubtful = Vec::new();
    for index in 0..shown.len() {
        let (sample, evidence) = shown[index];
        match evidence {
            Evidence::Bad { doubtful: true } | Evidence::Nothing => doubtful.push(index),
            Evidence::Good | Evidence::Bad { doubtful: false } => {
                let bad = matches!(evidence, Evidence::Bad { .. });
                let amid = bad && clear_bad_ns.is_some_and(|before| sample.due_ns - before <= MOMENT_NS);
                let taken_as = if amid { Evidence::Nothing } else { Evidence::Good };
                doubtful.drain(..).for_each(|index| shown[index].1 = taken_as);
                clear_bad_ns = bad.then_some(sample.due_ns);
            }
        }
    }
    doubtful.drain(..).for_each(|index| shown[index].1 = Evidence::Good);
}

/// Returns the samples due in `[from_ns, to_ns)`, with the unusable ones next to them on both sides.
fn window_and_unusable(flow: &FlowSamples, from_ns: u64, to_ns: u64) -> &[Sample] {
    let Range { start, end } = flow.bounds(from_ns, to_ns);
    let unusable = |sample: &&Sample| !is_usable(&flow.flow, sample);
    let before = flow.samples[..start].iter().rev().take_while(unusable).count();
    let after = flow.samples[end..].iter().take_while(unusable).count();
    &flow.samples[start - before..end + after]
}

/// Finds the runs of unusable samples: due times of the first and the last.
fn gaps(flow: &FlowSpec, samples: &[Sample]) -> Vec<(u64, u64)> {
    let runs = samples.chunk_by(|one, next| is_usable(flow, one) == is_usable(flow, next));
    let unusable = runs.filter(|run| !is_usable(flow, &run[0]));
    unusable.map(|run| (run[0].due_ns, run[run.len() - 1].due_ns)).collect()
}

/// Finds the outages in samples, by what each of them shows.
fn read<'a>(flow: &FlowSpec, samples: impl Iterator<Item = (&'a Sample, Evidence)>) -> Vec<Outage> {
    let in_order = kinds::of(flow.kind).is_in_order();
    let mut found = Vec::new();
    let mut open: Option<Outage> = None;
    let mut last_good_ns = None;
    let mut at_ns = 0;
    for (sample, evidence) in samples {
        let sent_ns = if in_order && !is_late(sample) { sample.taken_up_ns() } else { sample.due_ns };
        at_ns = sent_ns.max(at_ns);
        match evidence {
            Evidence::Nothing => {}
            Evidence::Good => {
                if let Some(mut outage) = open.take() {
                    outage.first_good_ns = Some(at_ns.max(outage.last_bad_ns));
                    outage.answered_ns = Some(sample.ended_ns());
                    found.push(outage);
                }
                last_good_ns = Some(at_ns);
            }
            Evidence::Bad { doubtful } => {
                let begun_ns = if is_late(sample) { at_ns } else { at_ns.max(sample.taken_up_ns()) };
                let outage = open.get_or_insert_with(|| Outage::begun(sample.class, begun_ns, last_good_ns));
                outage.samples += 1;
                outage.last_bad_ns = at_ns.max(outage.last_bad_ns);
                outage.connections_cut += u64::from(sample.cut);
                if !doubtful {
                    Clear::add(&mut outage.clear, sample, begun_ns, at_ns);
                }
            }
        }
    }
    found.extend(open);
    found
}

impl Outage {
    fn begun(class: Class, first_bad_ns: u64, last_good_ns: Option<u64>) -> Self {
        Self {
            class,
            samples: 0,
            last_good_ns,
            first_bad_ns,
            last_bad_ns: first_bad_ns,
            first_good_ns: None,
            answered_ns: None,
            connections_cut: 0,
            clear: None,
        }
    }
}

impl Clear {
    fn add(clear: &mut Option<Self>, sample: &Sample, begun_ns: u64, at_ns: u64) {
        let clear = clear.get_or_insert(Self {
            samples: 0,
            first_bad_ns: begun_ns,
            last_bad_ns: begun_ns,
            connections_cut: 0,
        });
        clear.samples += 1;
        clear.last_bad_ns = at_ns.max(clear.last_bad_ns);
        clear.connections_cut += u64::from(sample.cut);
    }
}

#[cfg(test)]
mod tests;
