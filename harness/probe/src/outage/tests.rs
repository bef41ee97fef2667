//! Bounds, doubt and the three readings of samples.

use model::{Kind, Layer, Protocol};
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::flow::tests::flow;

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
    let found: Vec<_> = find(letters).iter().map(|o| (o.min_ns(), o.max_ns(), o.connections_cut)).collect();
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

/// Noise comes again and again on a busy machine: twenty seconds of loss stay one outage.
#[test]
fn noise_amid_an_outage_is_no_recovery() {
    let spec = flow(Kind::Packet, Protocol::Udp, Layer::L3);
    let mut lost = samples(&format!("..{}..", "l".repeat(2_000)));
    let count = lost.len();
    for sample in lost[3..count - 3].iter_mut().step_by(50) {
        sample.late_us = 90_000;
    }
    let flows = FlowSamples { flow: spec, start_ns: 0, samples: lost, fault: None };
    let noise = Noise::of(std::slice::from_ref(&flows), 0, u64::MAX);
    let Outages { best, .. } = Outages::of(&flows, 0, u64::MAX, &noise);
    assert!(best.len() == 1 && best[0].min_ns() > 19_500_000_000, "{best:#?}");
}

#[test]
fn two_late_probes_do_not_excuse_six_seconds() {
    let spec = flow(Kind::Packet, Protocol::Udp, Layer::L3);
    let mut late = samples(&format!(".{}", "l".repeat(600)));
    (late[200].late_us, late[201].late_us) = (20_400, 20_500);
    let flows = [FlowSamples { flow: spec.clone(), start_ns: 0, samples: late, fault: None }];
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

/// What is doubtful in samples that were not covered by noise: lost ones that the prober sent too late, and missed ones.
fn read_all(letters: &str) -> Outages {
    let spec = flow(Kind::Packet, Protocol::Udp, Layer::L3);
    let flows = FlowSamples { flow: spec, start_ns: 0, samples: samples(letters), fault: None };
    let noise = Noise::of(std::slice::from_ref(&flows), 0, u64::MAX);
    Outages::of(&flows, 0, u64::MAX, &noise)
}

fn longest(outages: &[Outage]) -> u64 {
    outages.iter().map(Outage::min_ns).max().map_or(0, |ns| ns / PERIOD)
}

#[rstest]
#[case::clean(&".".repeat(50), (0, 0, 0))]
#[case::one_late_loss(&format!("{}L{}", ".".repeat(50), ".".repeat(50)), (0, 0, 0))]
#[case::a_tenth_of_a_second(&format!("{}{}{}", ".".repeat(50), "m".repeat(11), ".".repeat(50)), (0, 0, 0))]
#[case::half_a_second(&format!("{}{}{}", ".".repeat(50), "m".repeat(50), ".".repeat(50)), (0, 0, 49))]
#[case::loss_around_a_gap(&format!(".{}{}{}.", "l".repeat(50), "m".repeat(50), "l".repeat(50)), (149, 149, 149))]
#[case::loss_around_more_than_a_second(&format!(".{}{}{}.", "l".repeat(50), "m".repeat(101), "l".repeat(50)), (200, 39, 200))]
#[case::until_the_end(&format!("{}{}", ".".repeat(50), "m".repeat(50)), (0, 0, 49))]
#[case::nothing_usable(&"m".repeat(50), (0, 0, 49))]
fn the_worst_case_has_an_outage_in_every_long_gap(#[case] letters: &str, #[case] expected: (u64, u64, u64)) {
    let Outages { measured, best, worst, .. } = read_all(letters);
    assert_eq!((longest(&measured), longest(&best), longest(&worst)), expected);
}

#[test]
fn a_gap_over_the_end_of_a_window_counts_as_a_whole_in_both() {
    let spec = flow(Kind::Packet, Protocol::Udp, Layer::L3);
    let letters = format!("{}{}{}", ".".repeat(50), "m".repeat(12), ".".repeat(50));
    let flows = FlowSamples { flow: spec, start_ns: 0, samples: samples(&letters), fault: None };
    for (from, to) in [(0, 56), (56, 200)] {
        let found = Outages::of(&flows, from * PERIOD, to * PERIOD, &Noise::default());
        assert_eq!((found.longest_gap_ns / PERIOD, longest(&found.worst)), (11, 11), "{from} to {to}");
    }
}

proptest! {
    #[test]
    fn measured_lies_between_best_and_worst(letters in "[.lrmLR]{0,200}") {
        let Outages { measured, best, worst, .. } = read_all(&letters);
        prop_assert!(longest(&best) <= longest(&measured) && longest(&measured) <= longest(&worst));
        let bad = |outages: &[Outage]| outages.iter().map(|it| it.samples).sum::<u64>();
        prop_assert!(bad(&best) <= bad(&measured) && bad(&measured) <= bad(&worst));
    }
}
