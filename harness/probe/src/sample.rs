//! What became of one planned probe.

use std::collections::BTreeMap;
use std::ops::Range;

use model::Class;

use crate::flow::FlowSpec;

/// One planned probe. Offsets are µs after its due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Number within the flow, from 0.
    pub seq: u32,
    /// When it was due, ns.
    pub due_ns: u64,
    /// What became of it.
    pub class: Class,
    /// How late the prober was.
    pub late_us: u32,
    /// When it was sent; absent when it never was.
    pub sent_us: Option<u32>,
    /// When it was answered or failed; absent when nothing came.
    pub ended_us: Option<u32>,
    /// Held flows: the first probe that a cut of the connection hit.
    pub cut: bool,
}

impl Sample {
    /// Returns the time at which the prober started on it, ns.
    #[must_use]
    pub fn taken_up_ns(&self) -> u64 {
        self.due_ns + u64::from(self.late_us) * 1_000
    }

    /// Returns the time at which it was answered or failed, or its due time when nothing came, ns.
    #[must_use]
    pub fn ended_ns(&self) -> u64 {
        self.due_ns + u64::from(self.ended_us.unwrap_or(0)) * 1_000
    }
}

/// The results of one flow's probes, ordered by due time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSamples {
    /// The flow.
    pub flow: FlowSpec,
    /// When probe 0 was due, ns.
    pub start_ns: u64,
    /// The samples: one for each planned probe.
    pub samples: Vec<Sample>,
    /// Why the record is incomplete: no samples, or none until the end.
    pub fault: Option<String>,
}

impl FlowSamples {
    /// Returns the samples due in `[from_ns, to_ns)`.
    #[must_use]
    pub fn window(&self, from_ns: u64, to_ns: u64) -> &[Sample] {
        &self.samples[self.bounds(from_ns, to_ns)]
    }

    /// Returns the samples due in `[from_ns, to_ns)` with the one before, if that was good: an outage that begins with the
    /// first sample of the window began after it.
    pub(crate) fn window_and_before(&self, from_ns: u64, to_ns: u64) -> &[Sample] {
        let Range { start, end } = self.bounds(from_ns, to_ns);
        let before = start.checked_sub(1).filter(|before| self.flow.is_good(self.samples[*before].class));
        &self.samples[before.unwrap_or(start)..end]
    }

    /// Returns the time from which samples belong to what begins at `at_ns`: the due time of the first bad probe that was due
    /// before and had not ended, nor reached its deadline, at `at_ns`; otherwise `at_ns` itself.
    ///
    /// What begins then may be what such a probe failed for: a new pod that is about to get its network, for example.
    #[must_use]
    pub fn undecided_from(&self, at_ns: u64) -> u64 {
        let before = &self.samples[..self.samples.partition_point(|sample| sample.due_ns < at_ns)];
        let reaches = before.iter().rev().take_while(|it| it.due_ns + self.flow.deadline_ns >= at_ns);
        let open = |sample: &&Sample| {
            let ended = sample.ended_us.is_some() && sample.ended_ns() < at_ns;
            !ended && !self.flow.is_good(sample.class)
        };
        reaches.filter(open).last().map_or(at_ns, |sample| sample.due_ns)
    }

    /// Returns the positions of the samples due in `[from_ns, to_ns)`.
    pub(crate) fn bounds(&self, from_ns: u64, to_ns: u64) -> Range<usize> {
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

#[cfg(test)]
mod tests {
    use model::{Kind, Layer, Protocol};
    use rstest::rstest;

    use super::*;
    use crate::flow::tests::flow;

    const MS: u64 = 1_000_000;

    /// A probe every 100 ms, each with a deadline of 200 ms; the change begins at 1 s.
    #[rstest]
    #[case::good(9, Class::Answered, Some(150_000), 1_000)]
    #[case::waits_for_an_answer(9, Class::Lost, None, 900)]
    #[case::fails_later(9, Class::Refused, Some(150_000), 900)]
    #[case::has_failed(9, Class::Refused, Some(50_000), 1_000)]
    #[case::its_deadline_has_passed(7, Class::Lost, None, 1_000)]
    #[case::is_due_later(11, Class::Lost, None, 1_000)]
    fn a_bad_probe_that_has_not_ended_belongs_to_what_begins(
        #[case] bad: u32,
        #[case] class: Class,
        #[case] ended_us: Option<u32>,
        #[case] from_ms: u64,
    ) {
        let sample = |seq: u32| Sample {
            seq,
            due_ns: u64::from(seq) * 100 * MS,
            class: if seq == bad { class } else { Class::Answered },
            late_us: 50,
            sent_us: Some(50),
            ended_us: if seq == bad { ended_us } else { Some(300) },
            cut: false,
        };
        let samples = FlowSamples {
            flow: flow(Kind::Packet, Protocol::Udp, Layer::L3),
            start_ns: 0,
            samples: (0..20).map(sample).collect(),
            fault: None,
        };
        assert_eq!(samples.undecided_from(1_000 * MS), from_ms * MS);
    }
}
