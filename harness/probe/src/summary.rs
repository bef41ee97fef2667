//! The summary of a flow's samples: counts, latency, outages. Pure.

use hdrhistogram::Histogram;

use crate::noise::Noise;
use crate::outage::Outages;
use crate::sample::{Counts, FlowSamples};

/// Latency of answered probes, from their due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// 50th percentile, µs.
    pub p50_us: u64,
    /// 99th percentile, µs.
    pub p99_us: u64,
    /// Maximum, µs.
    pub max_us: u64,
}

/// The summary of a flow in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Due times of its first and last probe; absent when there is none.
    pub window_ns: Option<(u64, u64)>,
    /// Probes planned.
    pub planned: u64,
    /// Probes sent.
    pub sent: u64,
    /// Probes that were answered: the good ones of most flows, the leaks of `deny` flows.
    pub answered: u64,
    /// Probes by class.
    pub classes: Counts,
    /// Latency of answered probes; absent when none was answered.
    pub latency: Option<Latency>,
    /// Outages; for `deny` flows, leaks.
    pub outages: Outages,
}

impl Summary {
    /// Summarises the samples of a flow due in `[from_ns, to_ns)`.
    #[must_use]
    pub fn of(flow: &FlowSamples, from_ns: u64, to_ns: u64, noise: &Noise) -> Self {
        let samples = flow.window(from_ns, to_ns);
        let count = |counted: usize| counted as u64;
        Self {
            window_ns: samples.first().zip(samples.last()).map(|(first, last)| (first.due_ns, last.due_ns)),
            planned: count(samples.len()),
            sent: count(samples.iter().filter(|sample| sample.sent_us.is_some()).count()),
            answered: count(samples.iter().filter(|sample| sample.class.is_answer()).count()),
            classes: Counts::of(samples),
            latency: latency(samples),
            outages: Outages::of(flow, from_ns, to_ns, noise),
        }
    }

    /// Returns the number of probes that were not answered; `deny` flows expect that.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.planned - self.answered
    }
}

fn latency(samples: &[crate::sample::Sample]) -> Option<Latency> {
    let mut histogram = Histogram::<u64>::new_with_max(u32::MAX.into(), 3).ok()?;
    let answers = samples.iter().filter(|sample| sample.class.is_answer());
    answers.filter_map(|sample| sample.ended_us).for_each(|took| histogram.saturating_record(took.into()));
    (!histogram.is_empty()).then(|| Latency {
        p50_us: histogram.value_at_quantile(0.5),
        p99_us: histogram.value_at_quantile(0.99),
        max_us: histogram.max(),
    })
}

#[cfg(test)]
mod tests {
    use model::{Class, Kind, Layer, Protocol};

    use super::*;
    use crate::flow::tests::flow;
    use crate::sample::Sample;

    #[test]
    fn counts_latency_and_window() {
        let sample = |seq: u32| Sample {
            seq,
            due_ns: u64::from(seq) * 10_000_000,
            class: if seq == 50 { Class::Lost } else { Class::Answered },
            late_us: 10,
            sent_us: (seq != 50).then_some(10),
            ended_us: (seq != 50).then_some(seq + 1),
            cut: false,
        };
        let samples = FlowSamples {
            flow: flow(Kind::Packet, Protocol::Udp, Layer::L3),
            start_ns: 0,
            samples: (0..200).map(sample).collect(),
            fault: None,
        };
        let summary = Summary::of(&samples, 0, 1_000_000_000, &Noise::default());
        assert_eq!((summary.planned, summary.sent, summary.answered, summary.lost()), (100, 99, 99, 1));
        assert_eq!(summary.window_ns, Some((0, 990_000_000)));
        assert_eq!(summary.latency, Some(Latency { p50_us: 50, p99_us: 100, max_us: 100 }));
        assert_eq!(summary.outages.measured.len(), 1);
        let begins_with_it = Summary::of(&samples, 500_000_000, 1_000_000_000, &Noise::default());
        assert_eq!((begins_with_it.planned, begins_with_it.answered), (50, 49));
        assert_eq!(
            begins_with_it.outages.measured, summary.outages.measured,
            "the good sample before bounds it"
        );
        let after = Summary::of(&samples, 510_000_000, 1_000_000_000, &Noise::default());
        assert_eq!(after.outages.measured, []);
        let nothing = Summary::of(&samples, 5_000_000_000, 6_000_000_000, &Noise::default());
        assert_eq!((nothing.planned, nothing.window_ns, nothing.latency), (0, None, None));
    }
}
