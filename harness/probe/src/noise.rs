//! How much the machine disturbed the measurement. Pure.

use hdrhistogram::Histogram;
use model::{Class, Kind};

use crate::flow::{Expectation, FlowSpec};
use crate::sample::{FlowSamples, Sample};

/// A probe that the prober starts later than this is late, µs.
pub const LATE_US: u32 = 20_000;

/// Noise reaches this far around the probes that showed it, ns.
const MARGIN_NS: u64 = 100_000_000;

/// The noise of a measurement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noise {
    /// Intervals in which the machine was noisy: disjoint and ordered, ns.
    pub intervals: Vec<(u64, u64)>,
    /// Those of them in which probes were late: disjoint and ordered, ns.
    pub late_intervals: Vec<(u64, u64)>,
    /// Canary probes that were not answered although they were on time.
    pub canary_lost: u64,
    /// Late probes.
    pub late: u64,
    /// Lateness of probes, 50th percentile, µs.
    pub lateness_p50_us: u64,
    /// Lateness of probes, 99th percentile, µs.
    pub lateness_p99_us: u64,
    /// Lateness of probes, maximum, µs.
    pub lateness_max_us: u64,
}

impl Noise {
    /// Finds the noise in all samples due in `[from_ns, to_ns)`.
    #[must_use]
    pub fn of(flows: &[FlowSamples], from_ns: u64, to_ns: u64) -> Self {
        Self::without(flows, from_ns, to_ns, |_, _| false)
    }

    /// Finds the noise in all samples due in `[from_ns, to_ns)`, but for lost canary probes that the subject caused.
    #[must_use]
    pub fn without(
        flows: &[FlowSamples],
        from_ns: u64,
        to_ns: u64,
        caused: impl Fn(&FlowSpec, &Sample) -> bool,
    ) -> Self {
        let mut noise = Self::default();
        let mut lateness = Histogram::<u64>::new_with_max(u32::MAX.into(), 3).ok();
        let (mut intervals, mut late_intervals) = (Vec::new(), Vec::new());
        for flow in flows {
            for sample in flow.window(from_ns, to_ns) {
                if let Some(lateness) = &mut lateness {
                    lateness.saturating_record(sample.late_us.into());
                }
                let late = is_late(sample);
                let canary = !late && flow.flow.kind == Kind::Canary && !flow.flow.is_good(sample.class);
                noise.late += u64::from(late);
                noise.canary_lost += u64::from(canary);
                let until = sample.due_ns + u64::from(sample.late_us) * 1_000;
                let around = (sample.due_ns.saturating_sub(MARGIN_NS), until + MARGIN_NS);
                if late {
                    late_intervals.push(around);
                }
                if late || (canary && !caused(&flow.flow, sample)) {
                    intervals.push(around);
                }
            }
        }
        if let Some(lateness) = lateness {
            noise.lateness_p50_us = lateness.value_at_quantile(0.5);
            noise.lateness_p99_us = lateness.value_at_quantile(0.99);
            noise.lateness_max_us = lateness.max();
        }
        noise.intervals = merged(intervals);
        noise.late_intervals = merged(late_intervals);
        noise
    }

    /// Returns whether the machine was noisy at any time in `[from_ns, to_ns]`.
    #[must_use]
    pub fn covers(&self, from_ns: u64, to_ns: u64) -> bool {
        overlap(&self.intervals, from_ns, to_ns)
    }

    /// Returns whether probes were late at any time in `[from_ns, to_ns]`.
    #[must_use]
    pub fn is_late(&self, from_ns: u64, to_ns: u64) -> bool {
        overlap(&self.late_intervals, from_ns, to_ns)
    }
}

fn overlap(intervals: &[(u64, u64)], from_ns: u64, to_ns: u64) -> bool {
    intervals.iter().any(|&(from, to)| from <= to_ns && from_ns <= to)
}

/// Returns whether the prober was so late that the machine was noisy.
pub(crate) fn is_late(sample: &Sample) -> bool {
    sample.late_us > LATE_US || sample.class == Class::Missed
}

/// Returns whether no noise can have caused a bad sample of a flow.
///
/// A busy machine neither ends a connection at its other end nor makes up an answer that a policy forbids.
pub(crate) fn is_fact(flow: &FlowSpec, sample: &Sample) -> bool {
    let ended_by_peer = sample.cut && matches!(sample.class, Class::Reset | Class::Closed);
    ended_by_peer || (flow.expect == Expectation::Blocked && sample.class != Class::Missed)
}

/// Returns whether a sample shows anything about the network: it is good, or it was sent in time, or it is a fact.
pub(crate) fn is_usable(flow: &FlowSpec, sample: &Sample) -> bool {
    let good = flow.is_good(sample.class) && sample.class != Class::Missed;
    good || !is_late(sample) || is_fact(flow, sample)
}

fn merged(mut intervals: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    intervals.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, to) in intervals {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use model::{Layer, Protocol};

    use super::*;
    use crate::flow::tests::flow;

    fn samples(kind: Kind, class: Class, late_us: u32) -> FlowSamples {
        let sample = |seq: u32| Sample {
            seq,
            due_ns: 1_000_000_000 + u64::from(seq) * 10_000_000,
            class: if seq == 5 { class } else { Class::Answered },
            late_us: if seq == 5 { late_us } else { 60 },
            sent_us: Some(60),
            ended_us: None,
            cut: false,
        };
        FlowSamples {
            flow: flow(kind, Protocol::Udp, Layer::L3),
            start_ns: 1_000_000_000,
            samples: (0..10).map(sample).collect(),
            fault: None,
        }
    }

    #[test]
    fn a_lost_canary_is_noise_and_a_lost_packet_is_not() {
        let noise = Noise::of(&[samples(Kind::Canary, Class::Lost, 60)], 0, u64::MAX);
        assert_eq!(noise.canary_lost, 1);
        assert_eq!(noise.intervals, [(950_000_000, 1_150_060_000)]);
        let quiet = Noise::of(&[samples(Kind::Packet, Class::Lost, 60)], 0, u64::MAX);
        assert!(quiet.intervals.is_empty());
        assert!(noise.late_intervals.is_empty());
        assert_eq!((quiet.lateness_p50_us, quiet.lateness_max_us), (60, 60));
    }

    #[test]
    fn a_late_prober_is_noise_whatever_came_back() {
        for class in [Class::Answered, Class::Lost, Class::Missed] {
            let noise = Noise::of(&[samples(Kind::Packet, class, 400_000)], 0, u64::MAX);
            assert!(noise.covers(1_050_000_000, 1_050_000_000), "{class}");
            assert!(noise.is_late(1_050_000_000, 1_050_000_000), "{class}");
            assert_eq!((noise.late, noise.canary_lost), (1, 0));
        }
    }

    #[test]
    fn overlapping_intervals_become_one() {
        assert_eq!(merged(vec![(5, 9), (1, 3), (2, 6), (20, 21)]), [(1, 9), (20, 21)]);
    }
}
