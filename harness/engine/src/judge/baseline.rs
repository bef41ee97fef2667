//! The baseline: whether a flow worked before the first step.

use model::Layer;
use probe::noise::Noise;
use probe::sample::FlowSamples;
use probe::summary::Summary;

/// What the baseline of a flow shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Baseline {
    /// The flow worked; the machine may have lost probes, but the flow recovered.
    Works,
    /// Nothing was measured.
    Nothing,
    /// Noise hides whether the flow works.
    Doubtful,
    /// It certainly lost probes; the class of each outage.
    Broken(Vec<String>),
}

impl Baseline {
    /// Reads the samples that were due in `[from_ns, to_ns)`. Where transitions follow, the baseline has to show only that
    /// the flow works when the first of them begins; otherwise it is all that was measured, and every doubtful sample
    /// counts.
    pub(super) fn of(
        flow: &FlowSamples,
        from_ns: u64,
        to_ns: u64,
        noise: &Noise,
        transitions_follow: bool,
    ) -> Self {
        let summary = Summary::of(flow, from_ns, to_ns, noise);
        let outages = &summary.outages;
        // The canary does not cross the subject: what it loses, the machine loses.
        let canary = flow.flow.layer == Layer::Canary;
        let certain = outages.measured.iter().filter(|outage| !canary && outage.clear.is_some());
        let certain: Vec<_> = certain.map(|outage| outage.class.to_string()).collect();
        let doubtful = if canary { &outages.measured } else { &outages.worst };
        let mut hidden =
            doubtful.iter().filter(|outage| !transitions_follow || outage.first_good_ns.is_none());
        if summary.planned == 0 {
            Self::Nothing
        } else if !certain.is_empty() {
            Self::Broken(certain)
        } else if hidden.next().is_some() {
            Self::Doubtful
        } else {
            Self::Works
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Class;
    use probe::sample::Sample;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const PERIOD: u64 = 10_000_000;

    /// A flow from letters: `.` answered, `l` lost, `L` lost when the prober was late.
    fn samples(letters: &str) -> FlowSamples {
        let flow = json!({
            "id": "new-tcp/cross-node/pod-ip/no-policy", "kind": "new", "protocol": "tcp", "layer": "L4",
            "client": {"pod": "client", "node": "node1"}, "server": {"pod": "server", "node": "node2"},
            "path": {"place": "cross-node", "via": "pod-ip", "policy": "no-policy"},
            "port": 7001, "period_ns": PERIOD, "slow_ns": 50_000_000, "deadline_ns": 300_000_000,
            "expect": "answered",
        });
        let sample = |(seq, letter): (u32, char)| Sample {
            seq,
            due_ns: u64::from(seq) * PERIOD,
            class: if letter == '.' { Class::Answered } else { Class::Lost },
            late_us: if letter == 'L' { 90_000 } else { 50 },
            sent_us: Some(50),
            ended_us: (letter == '.').then_some(300),
            cut: false,
        };
        FlowSamples {
            flow: serde_json::from_value(flow).unwrap(),
            start_ns: 0,
            samples: (0..).zip(letters.chars()).map(sample).collect(),
            fault: None,
        }
    }

    #[rstest]
    #[case::clean(".", "", ".", true, Baseline::Works)]
    #[case::nothing("", "", "", true, Baseline::Nothing)]
    #[case::lost(".", "l", ".", true, Baseline::Broken(vec!["lost".to_owned()]))]
    #[case::noise(".", "L", ".", true, Baseline::Works)]
    #[case::noise_at_the_end(".", "L", "", true, Baseline::Doubtful)]
    #[case::noise_in_all_that_was_measured(".", "L", ".", false, Baseline::Doubtful)]
    fn a_baseline_shows_that_a_flow_works(
        #[case] before: &str,
        #[case] then: &str,
        #[case] after: &str,
        #[case] transitions_follow: bool,
        #[case] expected: Baseline,
    ) {
        let flow = samples(&[before, then, after].map(|letter| letter.repeat(20)).concat());
        let noise = Noise::of(std::slice::from_ref(&flow), 0, u64::MAX);
        assert_eq!(Baseline::of(&flow, 0, u64::MAX, &noise, transitions_follow), expected);
    }
}
