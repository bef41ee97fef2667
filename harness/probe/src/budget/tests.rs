//! What is inside a budget, what is not, and what cannot be decided.

use model::{Change, Class, Impact, Kind, Layer, Protocol, Role};
use rstest::rstest;

use super::*;
use crate::attribution::Observed;
use crate::flow::tests::flow;
use crate::noise::Noise;
use crate::outage::Clear;
use crate::sample::{FlowSamples, Sample};

const MS: u64 = 1_000_000;
const IMPACTS: Impacts = Impacts { l3: Impact::MinimalToNone, l7: Impact::ClientsMustReconnect };

fn outage(at_ms: u64, length_ms: u64, cut: u64) -> Outage {
    let (first, last) = (at_ms * MS, (at_ms + length_ms) * MS);
    Outage {
        class: Class::Lost,
        samples: 1 + length_ms / 10,
        last_good_ns: Some(first - 10 * MS),
        first_bad_ns: first,
        last_bad_ns: last,
        first_good_ns: Some(last + 10 * MS),
        answered_ns: Some(last + 11 * MS),
        connections_cut: cut,
        clear: Some(Clear {
            samples: 1 + length_ms / 10,
            first_bad_ns: first,
            last_bad_ns: last,
            connections_cut: cut,
        }),
    }
}

/// Outages without a doubtful sample.
fn certain(outages: &[Outage]) -> Outages {
    let measured = outages.to_vec();
    Outages { best: measured.clone(), worst: measured.clone(), measured, longest_gap_ns: 0 }
}

fn restart(node: &str, gone_ms: u64, ready_ms: u64) -> Restart {
    Restart { node: node.into(), gone_ns: gone_ms * MS, ready_ns: Some(ready_ms * MS) }
}

#[rstest]
#[case::clean(Layer::L3, vec![], true)]
#[case::short(Layer::L4, vec![outage(10_000, 90, 0)], true)]
#[case::long(Layer::L3, vec![outage(10_000, 110, 0)], false)]
#[case::many(Layer::L3, (1..=5).map(|n| outage(n * 10_000, 0, 0)).collect(), false)]
#[case::cut_l4(Layer::L4, vec![outage(10_000, 0, 1)], false)]
#[case::l7_around_the_restart(Layer::L7, vec![outage(10_000, 3_000, 1)], true)]
#[case::l7_too_long_after_ready(Layer::L7, vec![outage(10_000, 4_600, 1)], false)]
#[case::l7_cut_twice(Layer::L7, vec![outage(10_000, 10, 1), outage(11_000, 10, 1)], false)]
#[case::l7_far_from_any_restart(Layer::L7, vec![outage(30_000, 300, 0)], false)]
#[case::new_pod_during_a_restart(Layer::Control, vec![outage(9_000, 0, 0)], true)]
#[case::new_pod_at_any_other_time(Layer::Control, vec![outage(30_000, 0, 0)], false)]
#[case::hole(Layer::Policy, vec![outage(10_000, 0, 0)], false)]
#[case::no_hole(Layer::Policy, vec![], true)]
fn judged(#[case] layer: Layer, #[case] outages: Vec<Outage>, #[case] kept: bool) {
    let flow = flow(Kind::Held, Protocol::Http, layer);
    let restarts = [restart("node2", 10_200, 12_500), restart("node9", 1_000, 2_000)];
    let judgement = Budgets::standard().judge(&flow, &certain(&outages), IMPACTS, &restarts);
    assert_eq!(judgement.kept, Some(kept), "{judgement:#?}");
    assert_eq!(judgement.violations.is_empty(), kept);
}

#[rstest]
#[case::waits_when_the_agent_goes(10_000, true)]
#[case::given_up_before(5_000, false)]
fn a_new_pod_may_wait_for_an_agent_that_goes_meanwhile(#[case] deadline_ms: u64, #[case] kept: bool) {
    let flow = flow(Kind::Pod, Protocol::Tcp, Layer::Control);
    let flow = FlowSpec { deadline_ns: deadline_ms * MS, ..flow };
    let restarts = [restart("node2", 10_200, 12_500)];
    let judgement = Budgets::standard().judge(&flow, &certain(&[outage(2_000, 0, 0)]), IMPACTS, &restarts);
    assert_eq!(judgement.kept, Some(kept), "{judgement:#?}");
}

#[rstest]
#[case::still_restarting(50_000, true)]
#[case::down(70_000, false)]
fn an_agent_that_never_comes_back_excuses_a_minute(#[case] length_ms: u64, #[case] kept: bool) {
    let flow = flow(Kind::New, Protocol::Http, Layer::L7);
    let gone = Restart { ready_ns: None, ..restart("node2", 10_000, 0) };
    let judgement =
        Budgets::standard().judge(&flow, &certain(&[outage(10_100, length_ms, 0)]), IMPACTS, &[gone]);
    assert_eq!(judgement.kept, Some(kept), "{judgement:#?}");
}

#[rstest]
#[case::gone_before_the_flow_recovered(12_700, true)]
#[case::gone_when_it_must_have(20_000, false)]
fn an_outage_may_last_through_the_restarts_of_both_ends(#[case] gone_ms: u64, #[case] kept: bool) {
    let flow = flow(Kind::New, Protocol::Http, Layer::L7);
    let restarts = [restart("node1", gone_ms, gone_ms + 2_500), restart("node2", 10_200, 12_500)];
    let through = outage(10_100, gone_ms + 2_600 - 10_100, 0);
    let judgement = Budgets::standard().judge(&flow, &certain(&[through]), IMPACTS, &restarts);
    assert_eq!(judgement.kept, Some(kept), "{judgement:#?}");
}

#[test]
fn not_applicable_is_reported_and_not_judged() {
    let flow = flow(Kind::Packet, Protocol::Udp, Layer::L3);
    let impacts = Impacts { l3: Impact::NotApplicable, l7: Impact::NotApplicable };
    let judgement = Budgets::standard().judge(&flow, &certain(&[outage(1_000, 5_000, 0)]), impacts, &[]);
    assert_eq!((judgement.kept, judgement.rule.as_str()), (None, "measured, not judged"));
    assert!(judgement.measured.contains("5000 ms"), "{}", judgement.measured);
}

#[test]
fn what_only_noise_breaks_is_not_judged_and_what_is_clear_still_is() {
    let flow = flow(Kind::Packet, Protocol::Udp, Layer::L3);
    let doubtful = Outage { clear: None, ..outage(1_000, 5_000, 0) };
    let clear = outage(9_000, 5_000, 0);
    let judge = |measured: Vec<Outage>, best: Vec<Outage>| {
        let outages = Outages { worst: measured.clone(), measured, best, longest_gap_ns: 0 };
        Budgets::standard().judge(&flow, &outages, IMPACTS, &[])
    };
    let noisy = judge(vec![doubtful.clone()], Vec::new());
    assert_eq!((noisy.kept, noisy.noisy), (None, true));
    assert_eq!(judge(vec![doubtful, clear.clone()], vec![clear]).kept, Some(false));
}

/// Ten seconds of a flow, a probe every 10 ms; the prober is stopped, or answers are lost, in intervals of ms.
fn measured(flow: &FlowSpec, stopped: &[(u64, u64)], lost: &[(u64, u64)], late_ms: u64) -> Outages {
    let sample = |seq: u32| {
        let due_ms = u64::from(seq) * 10;
        let inside = |intervals: &[(u64, u64)]| {
            intervals.iter().find(|(from, to)| (*from..*to).contains(&due_ms)).map(|(_, to)| *to)
        };
        let late = inside(stopped).map_or(0, |until| until - due_ms);
        let class = match (late > late_ms, inside(lost).is_some()) {
            (true, _) => Class::Missed,
            (false, true) => Class::Lost,
            (false, false) => Class::Answered,
        };
        Sample {
            seq,
            due_ns: due_ms * MS,
            class,
            late_us: u32::try_from(late * 1_000).unwrap(),
            sent_us: None,
            ended_us: None,
            cut: false,
        }
    };
    let samples = (0..1_000).map(sample).collect();
    let flows = FlowSamples { flow: flow.clone(), start_ns: 0, samples, fault: None };
    let noise = Noise::of(std::slice::from_ref(&flows), 0, u64::MAX);
    Outages::of(&flows, 0, u64::MAX, &noise)
}

#[rstest]
#[case::during_an_outage(&[(2_000, 7_000)], &[(2_300, 6_500)], (None, true))]
#[case::without_an_outage(&[(2_000, 7_000)], &[], (None, true))]
#[case::outage_before_and_after(&[(2_000, 7_000)], &[(1_000, 9_000)], (Some(false), false))]
#[case::moments(&[(2_000, 2_040), (3_000, 3_060), (4_000, 4_030)], &[], (Some(true), false))]
#[case::moments_with_losses(&[(2_000, 2_040), (3_000, 3_060)], &[(2_000, 2_040), (3_000, 3_060)], (Some(true), false))]
#[case::never(&[], &[], (Some(true), false))]
fn a_prober_that_was_stopped_leaves_doubt(
    #[case] stopped: &[(u64, u64)],
    #[case] lost: &[(u64, u64)],
    #[case] expected: (Option<bool>, bool),
    #[values(Layer::L3, Layer::L7)] layer: Layer,
) {
    let flow = flow(Kind::New, Protocol::Http, layer);
    let outages = measured(&flow, stopped, lost, 300);
    let judgement = Budgets::standard().judge(&flow, &outages, IMPACTS, &[]);
    assert_eq!((judgement.kept, judgement.noisy), expected, "{judgement:#?}");
}

#[test]
fn a_prober_that_was_stopped_for_5_s_is_named_in_the_measurement() {
    let flow = flow(Kind::Packet, Protocol::Udp, Layer::L3);
    let judgement =
        Budgets::standard().judge(&flow, &measured(&flow, &[(2_000, 7_000)], &[], 300), IMPACTS, &[]);
    assert!(judgement.measured.contains("probes unusable for 4690 ms"), "{}", judgement.measured);
}

#[rstest]
#[case::stopped(&[(4_000, 5_000)], &[])]
#[case::stopped_and_lost(&[(4_000, 5_000)], &[(4_000, 5_500)])]
#[case::late_losses(&[(4_000, 4_200)], &[(4_000, 4_200)])]
fn doubt_inside_an_l7_restart_cannot_change_the_verdict(
    #[case] stopped: &[(u64, u64)],
    #[case] lost: &[(u64, u64)],
) {
    let flow = flow(Kind::New, Protocol::Http, Layer::L7);
    let restarts = [restart("node2", 3_900, 5_000)];
    let judgement =
        Budgets::standard().judge(&flow, &measured(&flow, stopped, lost, 300), IMPACTS, &restarts);
    assert_eq!((judgement.kept, judgement.noisy), (Some(true), false), "{judgement:#?}");
}

#[test]
fn a_stopped_prober_is_no_proof_that_policy_held() {
    let flow = flow(Kind::Deny, Protocol::Tcp, Layer::Policy);
    let judge = |stopped: &[(u64, u64)]| {
        let outages = measured(&flow, stopped, &[(0, 10_000)], 300);
        let judgement = Budgets::standard().judge(&flow, &outages, IMPACTS, &[]);
        (judgement.kept, judgement.noisy)
    };
    assert_eq!(judge(&[]), (Some(true), false));
    assert_eq!(judge(&[(2_000, 2_200)]), (Some(true), false));
    assert_eq!(judge(&[(2_000, 7_000)]), (None, true));
}

#[rstest]
#[case::wording("- layer: L3\n  words: Minimal to Nothing", "Clients must reconnect")]
#[case::layer("- layer: L3\n- layer: L5", "L7")]
#[case::layer_without_a_budget("- layer: L3\n- layer: L4", "write L3")]
#[case::key("- layer: L3\n  longest: 5", "longest_outage_ms")]
fn a_mistake_in_a_budgets_file_is_named_with_its_line(#[case] yaml: &str, #[case] remedy: &str) {
    let error = Budgets::parse(yaml).unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains(remedy), "{error}");
}

#[test]
fn restarts_are_paired_by_node() {
    let event = |at_ns, node: &str, change| Observed {
        at_ns,
        node: Some(node.into()),
        role: Role::Agent,
        object: String::new(),
        change,
        detail: None,
    };
    let seen = [
        event(0, "node1", Change::Ready),
        event(1, "node1", Change::Deleted),
        event(2, "node2", Change::Terminated),
        event(3, "node1", Change::Terminated),
        event(4, "node1", Change::Ready),
        event(5, "node1", Change::Terminated),
    ];
    let at = |node: &str, gone_ns, ready_ns| Restart { node: node.into(), gone_ns, ready_ns };
    let expected = [at("node1", 1, Some(4)), at("node2", 2, None), at("node1", 5, None)];
    assert_eq!(Restart::all(&seen, Role::Agent), expected);
}
