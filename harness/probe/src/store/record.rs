//! What is known of one flow while its samples arrive. Pure.

use std::collections::BTreeMap;

use model::Class;

use crate::flow::FlowSpec;
use crate::sample::{FlowSamples, Sample};

/// A flow whose probes were good for this time is steady, ns.
const STEADY_NS: u64 = 500_000_000;

/// A record that ends longer than this before the end of the measurement is incomplete, ns.
const SILENCE_NS: u64 = 1_500_000_000;

/// A prober looks for answers when the next probe falls due, and at least this often, ns.
const LOOK_NS: u64 = 1_000_000_000;

/// The record of one flow.
///
/// Its end is a time that the prober reports, and never a number of probes: a prober plans probes, it does not know
/// when the next one will have fallen due.
pub(super) struct Record {
    pub(super) flow: FlowSpec,
    pub(super) start_ns: u64,
    /// Probes that have fallen due.
    pub(super) planned: u32,
    /// The time up to which the record is complete, ns.
    pub(super) until_ns: u64,
    /// Samples in the order in which they arrived.
    pub(super) samples: Vec<Sample>,
}

impl Record {
    /// Makes the record of a flow whose probes begin at `start_ns`.
    pub(super) const fn new(flow: FlowSpec, start_ns: u64) -> Self {
        Self { flow, start_ns, planned: 0, until_ns: 0, samples: Vec::new() }
    }

    /// Adds samples.
    pub(super) fn extend(&mut self, planned: u32, samples: Vec<Sample>) {
        self.planned = self.planned.max(planned);
        self.samples.extend(samples);
    }

    /// Returns the time up to which samples alone prove that the prober ran: the newest due time, or the newest answer.
    pub(super) fn proven_until_ns(&self) -> u64 {
        let newest_due_ns = self.planned.checked_sub(1).map_or(0, |seq| self.due_ns(seq));
        self.samples.iter().map(Sample::ended_ns).fold(newest_due_ns, u64::max)
    }

    /// Returns whether the newest samples are all good: as many as fall due in half a second, from 1 to `most`.
    pub(super) fn is_steady(&self, most: usize) -> bool {
        let in_time = STEADY_NS / self.flow.period_ns.max(1);
        let count = usize::try_from(in_time).unwrap_or(most).clamp(1, most);
        let newest = self.samples.iter().rev().take(count);
        newest.filter(|sample| self.flow.is_good(sample.class)).count() == count
    }

    /// Returns whether the result of every probe due before `until_ns` is known or can no longer arrive.
    pub(super) fn is_decided(&self, until_ns: u64) -> bool {
        let due = until_ns.saturating_sub(self.start_ns).div_ceil(self.flow.period_ns.max(1));
        let due = (0..u32::try_from(due).unwrap_or(u32::MAX)).rev();
        let open = due.take_while(|seq| !self.is_over(self.due_ns(*seq))).count();
        let is_open = |sample: &&Sample| sample.due_ns < until_ns && !self.is_over(sample.due_ns);
        self.until_ns >= until_ns && self.samples.iter().filter(is_open).count() >= open
    }

    /// Returns the samples due before `until_ns` in order of due time.
    ///
    /// A probe without a sample is lost once its deadline has passed and the prober has looked for its answer since;
    /// younger ones are left out.
    pub(super) fn complete(&self, until_ns: u64, fault: Option<String>) -> FlowSamples {
        let mut by_seq: BTreeMap<u32, Sample> = self.samples.iter().map(|s| (s.seq, *s)).collect();
        for seq in 0..self.planned {
            let due_ns = self.due_ns(seq);
            if self.is_over(due_ns) {
                by_seq.entry(seq).or_insert_with(|| lost(seq, due_ns));
            }
        }
        // A sample after the first undecided probe would leave a hole that is no outage.
        let samples: Vec<_> =
            (0..).map_while(|seq| by_seq.get(&seq).copied()).take_while(|s| s.due_ns < until_ns).collect();
        let silence_ns = until_ns.saturating_sub(self.until_ns);
        let fault = fault.or_else(|| match samples.is_empty() {
            true => Some("no samples at all".into()),
            false if silence_ns > SILENCE_NS => {
                let seconds = silence_ns / 1_000_000_000;
                Some(format!("its samples end {seconds} s before the measurement does"))
            }
            false => None,
        });
        FlowSamples { flow: self.flow.clone(), start_ns: self.start_ns, samples, fault }
    }

    fn due_ns(&self, seq: u32) -> u64 {
        self.start_ns + u64::from(seq) * self.flow.period_ns
    }

    /// Returns whether nothing can arrive any more for a probe that was due at `due_ns`.
    fn is_over(&self, due_ns: u64) -> bool {
        let look_ns = self.flow.period_ns.min(LOOK_NS);
        due_ns.saturating_add(self.flow.deadline_ns).saturating_add(look_ns) < self.until_ns
    }
}

fn lost(seq: u32, due_ns: u64) -> Sample {
    Sample { seq, due_ns, class: Class::Lost, late_us: 0, sent_us: None, ended_us: None, cut: false }
}
