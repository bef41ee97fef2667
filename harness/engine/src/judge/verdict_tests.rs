//! Verdicts of whole runs: what must not pass, and which window a probe belongs to.

use model::{Class, Impact};
use probe::sample::Sample;
use rstest::rstest;
use serde_json::json;

use super::*;

/// A flow without samples, or with a fault.
fn flow(fault: Option<&str>) -> FlowSamples {
    let end = |pod: &str| json!({"pod": pod, "node": "node1"});
    let flow = json!({
        "id": "new-tcp/same-node/pod-ip/no-policy", "kind": "new", "protocol": "tcp", "layer": "L4",
        "client": end("client-1"), "server": end("open-server"),
        "path": {"place": "same-node", "via": "pod-ip", "policy": "no-policy"},
        "port": 7001, "period_ns": 10_000_000, "slow_ns": 50_000_000, "deadline_ns": 300_000_000,
        "expect": "answered",
    });
    FlowSamples {
        flow: serde_json::from_value(flow).unwrap(),
        start_ns: 0,
        samples: Vec::new(),
        fault: fault.map(str::to_owned),
    }
}

fn verdict(flows: Vec<FlowSamples>) -> (Verdict, String) {
    let impact = Impact::MinimalToNone;
    let transition = Transition { name: "upgrade".to_owned(), l3: impact, l7: impact };
    let evidence = Evidence { windows: vec![Window::opened(transition)], ..Evidence::default() };
    let recorded = Recorded { clock: RunClock::start(), observations: Vec::new(), steps: Vec::new() };
    let measured = Measured {
        flows,
        failure: None,
        processors: Vec::new(),
        until_ns: probe::clock::now_ns() + 1_000_000_000,
    };
    let judged = judge(&Criteria::default(), &recorded, &evidence, &measured, End::Done);
    (judged.verdict, judged.reason)
}

#[rstest]
#[case::no_flow(Vec::new())]
#[case::no_probe(vec![flow(None)])]
fn a_run_in_which_nothing_was_judged_does_not_pass(#[case] flows: Vec<FlowSamples>) {
    let (verdict, reason) = verdict(flows);
    assert_eq!(verdict, Verdict::Skipped);
    assert!(reason.starts_with("no flow was judged"), "{reason}");
}

#[test]
fn a_run_with_a_faulty_record_does_not_pass() {
    let (verdict, reason) = verdict(vec![flow(Some("the clock of its node is 2.5 s ahead"))]);
    assert_eq!(verdict, Verdict::Errored);
    assert!(reason.ends_with("the clock of its node is 2.5 s ahead"), "{reason}");
}

/// New pods, one every 6 s, that must have their network within 10 s; the second one never gets it.
fn new_pods(start_ns: u64) -> FlowSamples {
    let end = |pod: &str| json!({"pod": pod, "node": "node1"});
    let flow = json!({
        "id": "pod-tcp/same-node/pod-ip/no-policy", "kind": "pod", "protocol": "tcp", "layer": "control",
        "client": end("client-1"), "server": end("open-server"),
        "path": {"place": "same-node", "via": "pod-ip", "policy": "no-policy"},
        "port": 7001, "period_ns": 6 * SECOND, "slow_ns": 5 * SECOND, "deadline_ns": 10 * SECOND,
        "expect": "answered",
    });
    let sample = |seq: u32| Sample {
        seq,
        due_ns: start_ns + u64::from(seq) * 6 * SECOND,
        class: if seq == 1 { Class::Lost } else { Class::Answered },
        late_us: 50,
        sent_us: Some(50),
        ended_us: (seq != 1).then_some(800_000),
        cut: false,
    };
    FlowSamples {
        flow: serde_json::from_value(flow).unwrap(),
        start_ns,
        samples: (0..4).map(sample).collect(),
        fault: None,
    }
}

const SECOND: u64 = 1_000_000_000;

/// The pod is made at 6 s, and the upgrade begins at 8 s.
#[rstest]
#[case::agent_goes(Some("node1"), Verdict::Passed, "every flow stayed")]
#[case::other_agent_goes(Some("node2"), Verdict::Failed, "pod-tcp")]
#[case::nothing_happens(None, Verdict::Failed, "pod-tcp")]
fn a_pod_that_still_waits_when_the_upgrade_begins_is_judged_with_the_upgrade(
    #[case] restarted: Option<&str>,
    #[case] expected: Verdict,
    #[case] why: &str,
) {
    let clock = RunClock::start();
    let start_ns = clock.ns(0.0);
    let restart = |change, at_ms| TimedObservation {
        at_ms,
        what: report::event::Observation {
            node: restarted.map(str::to_owned),
            role: Role::Agent,
            object: "pod agent-1".to_owned(),
            change,
            detail: None,
        },
    };
    let observations = match restarted {
        Some(_) => vec![restart(Change::Deleted, 9_000.0), restart(Change::Ready, 18_000.0)],
        None => Vec::new(),
    };
    let impact = Impact::MinimalToNone;
    let transition = Transition { name: "upgrade".to_owned(), l3: impact, l7: impact };
    let upgrade = Window { from_ns: start_ns + 8 * SECOND, transition: Some(transition) };
    let evidence = Evidence { windows: vec![Window::baseline(start_ns), upgrade], ..Evidence::default() };
    let recorded = Recorded { clock, observations, steps: Vec::new() };
    let measured = Measured {
        flows: vec![new_pods(start_ns)],
        failure: None,
        processors: Vec::new(),
        until_ns: start_ns + 30 * SECOND,
    };
    let judged = judge(&Criteria::default(), &recorded, &evidence, &measured, End::Done);
    assert_eq!(judged.verdict, expected, "{}", judged.reason);
    assert!(judged.reason.starts_with(why), "{}", judged.reason);
}
