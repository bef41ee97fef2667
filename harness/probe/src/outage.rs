//! Outages: maximal runs of bad samples, as brackets. Pure.
//!
//! Samples tell when a flow worked and when it did not, never the moment between. An outage is therefore
//! at least as long as from its first to its last bad sample, and at most as long as from the last good sample
//! before to the time at which the first good sample after was answered. A sample stands at the time at which
//! the prober came to it, for one that came late has asked the network late; at its due time when the flow's
//! probes are on connections of their own, which may overtake one another, or when the prober came so late that
//! the machine is to blame. An outage never begins before its first bad sample was asked.
//!
//! A bad sample that the prober came to too late says nothing about the network: it neither begins nor
//! extends nor ends an outage, but makes its interval noisy (see [`crate::noise`]). A connection that its
//! other end cut and an answer that a policy forbids are facts at any time, which no noise excuses. Of any other
//! outage noise excuses the samples that it covers, and no more.

use crate::flow::{FlowSpec, Kind};
use crate::noise::{Noise, is_fact, is_late};
use crate::sample::{Class, Sample};

/// An interval in which a flow did not behave; for `deny` flows, a hole.
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
    /// What is left of it without the samples that noise excuses; `None` when it excuses all of them.
    pub clear: Option<Clear>,
}

/// The part of an outage in which the machine was quiet, so that the subject answers for it.
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

impl Outage {
    /// Returns the least length that the samples allow.
    #[must_use]
    pub fn min_ns(&self) -> u64 {
        self.last_bad_ns - self.first_bad_ns
    }

    /// Returns the greatest length that the samples allow; `None` while no good sample surrounds it.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        Some(self.answered_ns?.saturating_sub(self.last_good_ns?))
    }

    /// Returns it without the samples that noise excuses; `None` when nothing of it is left.
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

/// Finds the outages of a flow among its samples, which are ordered by due time.
#[must_use]
pub fn outages(flow: &FlowSpec, samples: &[Sample], noise: &Noise) -> Vec<Outage> {
    let in_order = matches!(flow.kind, Kind::Packet | Kind::Canary | Kind::Held);
    let mut found = Vec::new();
    let mut open: Option<Outage> = None;
    let mut last_good_ns = None;
    let mut at_ns = 0;
    for sample in samples {
        let asked_ns = if in_order && !is_late(sample) { sample.taken_up_ns() } else { sample.due_ns };
        at_ns = asked_ns.max(at_ns);
        if flow.is_good(sample.class) && sample.class != Class::Missed {
            if let Some(mut outage) = open.take() {
                outage.first_good_ns = Some(at_ns.max(outage.last_bad_ns));
                outage.answered_ns = Some(sample.ended_ns());
                found.push(outage);
            }
            last_good_ns = Some(at_ns);
        } else if Noise::accuses(flow, sample) {
            let begun_ns = if is_late(sample) { at_ns } else { at_ns.max(sample.taken_up_ns()) };
            let outage = open.get_or_insert(Outage {
                class: sample.class,
                samples: 0,
                last_good_ns,
                first_bad_ns: begun_ns,
                last_bad_ns: begun_ns,
                first_good_ns: None,
                answered_ns: None,
                connections_cut: 0,
                clear: None,
            });
            outage.samples += 1;
            outage.last_bad_ns = at_ns.max(outage.last_bad_ns);
            outage.connections_cut += u64::from(sample.cut);
            let excusable = flow.crosses_subject() && !is_fact(flow, sample);
            if !(excusable && noise.covers(sample.due_ns, sample.ended_ns())) {
                Clear::add(&mut outage.clear, sample, begun_ns, at_ns);
            }
        }
    }
    found.extend(open);
    found
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
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::flow::tests::flow;
    use crate::flow::{Kind, Layer, Protocol};

    const PERIOD: u64 = 10_000_000;

    /// Samples from letters: `.` good, `l` lost, `r` reset and cut, capitals when the prober was late.
    fn samples(letters: &str) -> Vec<Sample> {
        let sample = |(seq, letter)| Sample {
            seq,
            due_ns: u64::from(seq) * PERIOD,
            class: match letter {
                '.' => Class::Answered,
                'r' | 'R' => Class::Reset,
                'm' => Class::Missed,
                _ => Class::Lost,
            },
            late_us: if letter.is_uppercase() { 90_000 } else { 50 },
            sent_us: Some(50),
            ended_us: (letter == '.').then_some(300),
            cut: matches!(letter, 'r' | 'R'),
        };
        (0..).zip(letters.chars()).map(sample).collect()
    }

    fn find(letters: &str) -> Vec<Outage> {
        let spec = flow(Kind::Held, Protocol::Tcp, Layer::L4);
        outages(&spec, &samples(letters), &Noise::default())
    }

    #[rstest]
    #[case::clean("......", &[])]
    #[case::nothing("", &[])]
    #[case::one("..l...", &[(0, Some(20_250_000), 0)])]
    #[case::run("..lll..", &[(20_000_000, Some(40_250_000), 0)])]
    #[case::cut("..rll.", &[(20_000_000, Some(40_250_000), 1)])]
    #[case::two(".l..l.", &[(0, Some(20_250_000), 0), (0, Some(20_250_000), 0)])]
    #[case::unfinished("..lll", &[(20_000_000, None, 0)])]
    #[case::from_the_start("ll..", &[(10_000_000, None, 0)])]
    #[case::late_prober_is_no_outage("..LLL..", &[])]
    #[case::late_prober_does_not_end_one("..lLLl..", &[(30_000_000, Some(50_250_000), 0)])]
    #[case::late_prober_sees_a_cut_all_the_same("..RL..", &[(0, Some(30_250_000), 1)])]
    #[case::missed_says_nothing("..mm..", &[])]
    fn brackets(#[case] letters: &str, #[case] expected: &[(u64, Option<u64>, u64)]) {
        let found: Vec<_> =
            find(letters).iter().map(|o| (o.min_ns(), o.max_ns(), o.connections_cut)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn holes_of_a_deny_flow_are_its_answers() {
        let spec = flow(Kind::Deny, Protocol::Tcp, Layer::Policy);
        let found = outages(&spec, &samples("ll..ll"), &Noise::default());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].class, found[0].samples), (Class::Answered, 2));
    }

    #[test]
    fn no_noise_excuses_a_forbidden_answer() {
        let spec = flow(Kind::Deny, Protocol::Tcp, Layer::Policy);
        let mut late = samples("l.l");
        late[1].late_us = 90_000;
        let noise = Noise { intervals: vec![(0, 100 * PERIOD)], ..Noise::default() };
        let found = outages(&spec, &late, &noise);
        let clear: Vec<_> = found.iter().map(|hole| hole.clear.map(|clear| clear.samples)).collect();
        assert_eq!(clear, [Some(1)]);
    }

    #[rstest]
    #[case::quiet("..lll..", (90, 95), Some((3, 2, 4)))]
    #[case::covered("..lll..", (2, 4), None)]
    #[case::at_its_start("..lll..", (0, 2), Some((2, 3, 4)))]
    #[case::at_its_end("..lll..", (4, 9), Some((2, 2, 3)))]
    #[case::a_moment_amid_it("..lllll..", (4, 4), Some((4, 2, 6)))]
    #[case::before_it("..lll..", (0, 1), Some((3, 2, 4)))]
    #[case::a_cut_is_a_fact_at_any_time("..rll..", (0, 9), Some((1, 2, 2)))]
    fn noise_excuses_what_it_covers_and_no_more(
        #[case] letters: &str,
        #[case] noise: (u64, u64),
        #[case] clear: Option<(u64, u64, u64)>,
    ) {
        let spec = flow(Kind::Held, Protocol::Tcp, Layer::L4);
        let noise = Noise { intervals: vec![(noise.0 * PERIOD, noise.1 * PERIOD)], ..Noise::default() };
        let found = outages(&spec, &samples(letters), &noise);
        assert_eq!(found.len(), 1);
        let left = found[0].without_noise();
        let left = left.map(|left| (left.samples, left.first_bad_ns / PERIOD, left.last_bad_ns / PERIOD));
        assert_eq!(left, clear);
        assert_eq!(found[0].last_good_ns, Some(PERIOD + 50_000), "the outage itself stays whole");
    }

    #[test]
    fn noise_while_a_probe_waits_excuses_it() {
        let spec = flow(Kind::Pod, Protocol::Tcp, Layer::Control);
        let mut slow = samples(".l.");
        slow[1].ended_us = Some(50_000);
        let noise = Noise { intervals: vec![(5 * PERIOD, 5 * PERIOD)], ..Noise::default() };
        assert_eq!(outages(&spec, &slow, &noise)[0].clear, None);
    }

    #[test]
    fn a_prober_that_came_late_has_asked_late() {
        let spec = flow(Kind::Packet, Protocol::Udp, Layer::L3);
        let mut late = samples("..l..");
        (late[1].late_us, late[2].late_us) = (4_000, 6_000);
        let of = |spec: &FlowSpec| outages(spec, &late, &Noise::default())[0].clone();
        assert_eq!(of(&spec).began(), (PERIOD + 4_000_000, 2 * PERIOD + 6_000_000));
        // On connections of their own probes may overtake one another: only the plan is in order.
        let own = of(&flow(Kind::New, Protocol::Tcp, Layer::L4));
        assert_eq!(own.began(), (PERIOD, 2 * PERIOD + 6_000_000));
        assert_eq!((own.min_ns(), own.first_good_ns), (0, Some(3 * PERIOD)));
        late[3].class = Class::Lost;
        let longer = outages(&flow(Kind::New, Protocol::Tcp, Layer::L4), &late, &Noise::default());
        assert_eq!(longer[0].min_ns(), PERIOD - 6_000_000, "as sure as the first was asked late");
    }

    #[test]
    fn two_late_probes_do_not_excuse_six_seconds() {
        let spec = flow(Kind::Packet, Protocol::Udp, Layer::L3);
        let mut late = samples(&format!(".{}", "l".repeat(600)));
        (late[200].late_us, late[201].late_us) = (20_400, 20_500);
        let flows =
            [crate::sample::FlowSamples { flow: spec.clone(), start_ns: 0, samples: late, fault: None }];
        let noise = Noise::of(&flows, 0, u64::MAX);
        let found = outages(&spec, &flows[0].samples, &noise);
        let left = found[0].without_noise().expect("most of it is clear");
        assert_eq!((noise.late, left.min_ns()), (2, 599 * PERIOD));
    }

    proptest! {
        #[test]
        fn disjoint_ordered_complete_and_bounded(letters in "[.lrmLR]{0,200}") {
            let found = find(&letters);
            let bad = letters.chars().filter(|letter| "lrR".contains(*letter)).count() as u64;
            prop_assert_eq!(found.iter().map(|outage| outage.samples).sum::<u64>(), bad);
            for outage in &found {
                prop_assert_eq!(outage.without_noise(), Some(outage.clone()), "no noise, nothing excused");
                prop_assert!(outage.first_bad_ns <= outage.last_bad_ns);
                prop_assert!(outage.last_good_ns.is_none_or(|good| good < outage.first_bad_ns));
                prop_assert!(outage.first_good_ns.is_none_or(|good| good > outage.last_bad_ns));
                prop_assert!(outage.max_ns().is_none_or(|max| max >= outage.min_ns()));
                prop_assert!(outage.min_ns() <= 200 * PERIOD);
            }
            for pair in found.windows(2) {
                prop_assert!(pair[0].first_good_ns.unwrap() <= pair[1].last_good_ns.unwrap());
            }
            for (sample, letter) in samples(&letters).iter().zip(letters.chars()) {
                let late = if letter.is_uppercase() { 0 } else { u64::from(sample.late_us) * 1_000 };
                let at = sample.due_ns + late;
                let inside = found.iter().any(|o| (o.first_bad_ns..=o.last_bad_ns).contains(&at));
                prop_assert!(inside || !"lrR".contains(letter));
                prop_assert!(!inside || letter != '.');
            }
        }
    }
}
