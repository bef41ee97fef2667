//! Runs that must not pass although nothing was found.

use model::Impact;
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
