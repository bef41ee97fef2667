//! The accuracy of the measurement: outages of known duration compared with their measurement. Pure.

use std::fmt;

use model::{Class, Kind};
use serde::{Deserialize, Serialize};

use crate::flow::FlowSpec;
use crate::noise::Noise;
use crate::outage::{Outage, outages};
use crate::sample::FlowSamples;

/// Bounds are narrow when they differ by at most two periods and this, ms.
const NARROW_MS: f64 = 2.0;

/// A fault that was injected into the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Packets are dropped: packet flows lose probes.
    Drop,
    /// Connections are reset: held flows are cut.
    Reset,
}

/// An injected fault, with the times of its start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    /// The fault.
    pub fault: Fault,
    /// Just before and just after its start, ns.
    pub from_ns: (u64, u64),
    /// Just before and just after its end, ns.
    pub to_ns: (u64, u64),
}

/// An injected fault, compared with its measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The fault.
    pub fault: Fault,
    /// Bounds on the duration from the injector, ms.
    pub injected_ms: (f64, f64),
    /// Measured bounds on the duration, ms; absent when no outage, or more than one, was measured.
    pub measured_ms: Option<(f64, f64)>,
    /// Whether the outage has the expected class.
    pub class_right: bool,
}

/// All comparisons of a calibration, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Faults injected.
    pub injected: usize,
    /// Faults with exactly one measured outage, whose bounds overlap the injector's.
    pub consistent: usize,
    /// Faults whose outage has the expected class.
    pub class_right: usize,
    /// Faults whose measured bounds differ by at most two periods and 2 ms.
    #[serde(default)]
    pub narrow: usize,
    /// Outages that no fault explains.
    pub false_alarms: usize,
    /// Difference between the middles of the measured and the injected bounds, median, ms.
    pub error_median_ms: f64,
    /// The same, 95th percentile, ms.
    pub error_p95_ms: f64,
    /// The same, worst, ms.
    pub error_max_ms: f64,
    /// Width of the measured bounds, median, ms.
    pub slack_median_ms: f64,
    /// The same, worst, ms.
    pub slack_max_ms: f64,
    /// Width of the injected bounds, median, ms.
    pub injector_slack_median_ms: f64,
    /// Time between two probes, ms.
    pub period_ms: f64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Drop => "drop",
            Self::Reset => "reset",
        })
    }
}

impl Fault {
    fn is_felt_by(self, flow: &FlowSpec) -> bool {
        flow.kind == if self == Self::Drop { Kind::Packet } else { Kind::Held }
    }

    fn fits(self, outage: &Outage) -> bool {
        match self {
            Self::Drop => outage.class == Class::Lost,
            Self::Reset => outage.class == Class::Reset && outage.connections_cut == 1,
        }
    }
}

impl Injected {
    fn length_ms(&self) -> (f64, f64) {
        (ms(self.to_ns.0.saturating_sub(self.from_ns.1)), ms(self.to_ns.1.saturating_sub(self.from_ns.0)))
    }

    /// Returns whether this fault can have caused an outage: they overlap.
    fn meets(&self, outage: &Outage) -> bool {
        outage.began().0 <= self.to_ns.1 && self.from_ns.0 <= outage.first_good_ns.unwrap_or(u64::MAX)
    }
}

impl Comparison {
    fn is_consistent(&self) -> bool {
        self.measured_ms
            .is_some_and(|(least, most)| least <= self.injected_ms.1 && self.injected_ms.0 <= most)
    }

    /// Returns the difference between the middles of both bounds, ms.
    #[must_use]
    pub fn error_ms(&self) -> Option<f64> {
        let middle = |(least, most): (f64, f64)| f64::midpoint(least, most);
        Some((middle(self.measured_ms?) - middle(self.injected_ms)).abs())
    }
}

/// Compares injected faults with the measurement in `[from_ns, to_ns)`; also counts the outages that no fault explains.
#[must_use]
pub fn compare(
    injected: &[Injected],
    flows: &[FlowSamples],
    (from_ns, to_ns): (u64, u64),
) -> (Vec<Comparison>, usize) {
    let noise = Noise::of(flows, from_ns, to_ns);
    let felt: Vec<(&FlowSpec, Outage)> = flows
        .iter()
        .flat_map(|flow| {
            let found = outages(&flow.flow, flow.window(from_ns, to_ns), &noise);
            found.into_iter().map(|outage| (&flow.flow, outage))
        })
        .collect();
    let comparisons = injected.iter().map(|fault| {
        let mut own = felt
            .iter()
            .filter(|(flow, outage)| fault.fault.is_felt_by(flow) && fault.meets(outage))
            .map(|(_, outage)| outage);
        let only = own.next().filter(|_| own.next().is_none());
        Comparison {
            fault: fault.fault,
            injected_ms: fault.length_ms(),
            measured_ms: only.and_then(|outage| Some((ms(outage.min_ns()), ms(outage.max_ns()?)))),
            class_right: only.is_some_and(|outage| fault.fault.fits(outage)),
        }
    });
    let explained = |flow: &FlowSpec, outage: &Outage| {
        injected.iter().any(|fault| fault.fault.is_felt_by(flow) && fault.meets(outage))
    };
    let alarms =
        felt.iter().filter(|(flow, outage)| outage.clear.is_some() && !explained(flow, outage)).count();
    (comparisons.collect(), alarms)
}

impl Accuracy {
    /// Summarises comparisons.
    #[must_use]
    pub fn of(comparisons: &[Comparison], false_alarms: usize, period_ms: f64) -> Self {
        let errors = sorted(comparisons.iter().filter_map(Comparison::error_ms));
        let slack =
            sorted(comparisons.iter().filter_map(|c| c.measured_ms.map(|(least, most)| most - least)));
        let injector = sorted(comparisons.iter().map(|c| c.injected_ms.1 - c.injected_ms.0));
        let count = |holds: fn(&Comparison) -> bool| comparisons.iter().filter(|c| holds(c)).count();
        Self {
            injected: comparisons.len(),
            consistent: count(Comparison::is_consistent),
            class_right: count(|c| c.class_right),
            narrow: slack.iter().filter(|width| **width <= 2.0 * period_ms + NARROW_MS).count(),
            false_alarms,
            error_median_ms: quantile(&errors, 0.5),
            error_p95_ms: quantile(&errors, 0.95),
            error_max_ms: quantile(&errors, 1.0),
            slack_median_ms: quantile(&slack, 0.5),
            slack_max_ms: quantile(&slack, 1.0),
            injector_slack_median_ms: quantile(&injector, 0.5),
            period_ms,
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value that this share of sorted values does not exceed; 0 of nothing.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn ms(ns: u64) -> f64 {
    (ns / 1_000) as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use model::{Layer, Protocol};
    use rstest::rstest;

    use super::*;
    use crate::flow::tests::flow;
    use crate::sample::Sample;

    const MS: u64 = 1_000_000;

    /// One second of a packet flow, a probe a millisecond, lost in these intervals of ms.
    fn measured(lost: &[(u64, u64)]) -> FlowSamples {
        let sample = |seq: u32| {
            let bad = lost.iter().any(|&(from, to)| (from..to).contains(&u64::from(seq)));
            Sample {
                seq,
                due_ns: u64::from(seq) * MS,
                class: if bad { Class::Lost } else { Class::Answered },
                late_us: 20,
                sent_us: Some(30),
                ended_us: (!bad).then_some(300),
                cut: false,
            }
        };
        FlowSamples {
            flow: flow(Kind::Packet, Protocol::Udp, Layer::L3),
            start_ns: 0,
            samples: (0..1_000).map(sample).collect(),
            fault: None,
        }
    }

    fn dropped(from: u64, to: u64) -> Injected {
        let around = |at: u64| (at * MS - MS / 2, at * MS + MS / 2);
        Injected { fault: Fault::Drop, from_ns: around(from), to_ns: around(to) }
    }

    #[rstest]
    #[case::exact(&[(100, 200)], 1, 1, 0)]
    #[case::not_seen(&[], 0, 0, 0)]
    #[case::too_short(&[(100, 150)], 0, 1, 0)]
    #[case::in_two_parts(&[(100, 140), (150, 200)], 0, 0, 0)]
    #[case::another_as_well(&[(100, 200), (500, 501)], 1, 1, 1)]
    fn one_drop(
        #[case] lost: &[(u64, u64)],
        #[case] consistent: usize,
        #[case] class_right: usize,
        #[case] alarms: usize,
    ) {
        let (compared, false_alarms) = compare(&[dropped(100, 200)], &[measured(lost)], (0, 1_000 * MS));
        let accuracy = Accuracy::of(&compared, false_alarms, 1.0);
        let found = (accuracy.consistent, accuracy.class_right, accuracy.false_alarms);
        assert_eq!(found, (consistent, class_right, alarms), "{compared:?}");
    }

    #[test]
    fn the_error_is_between_the_middles() {
        let (compared, alarms) = compare(&[dropped(100, 200)], &[measured(&[(100, 201)])], (0, 1_000 * MS));
        let accuracy = Accuracy::of(&compared, alarms, 1.0);
        // At least 100 ms and at most 102.28 ms, against 99 to 101 ms.
        assert!((accuracy.error_median_ms - 1.14).abs() < 0.001, "{accuracy:?}");
        assert!((accuracy.slack_max_ms - 2.28).abs() < 0.001, "{accuracy:?}");
        assert_eq!(accuracy.narrow, 1);
        assert_eq!(Accuracy::of(&compared, alarms, 0.1).narrow, 0);
    }

    #[test]
    fn a_cut_that_was_not_one_is_of_the_wrong_class() {
        let mut held = measured(&[(100, 200)]);
        held.flow = flow(Kind::Held, Protocol::Tcp, Layer::L4);
        let fault = Injected { fault: Fault::Reset, ..dropped(100, 200) };
        let (compared, alarms) = compare(&[fault], &[held], (0, 1_000 * MS));
        assert_eq!((compared[0].class_right, alarms), (false, 0));
    }
}
