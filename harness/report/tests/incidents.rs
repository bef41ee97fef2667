//! Outages are grouped into incidents.

#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on should panic")]

use std::path::Path;

use model::{Confidence, Layer};
use report::run::{Attribution, Flow, Outage, Run};
use report::{RunFolder, incidents};
use rstest::rstest;

fn recorded(name: &str) -> Run {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name);
    RunFolder::open(&folder).unwrap().load().unwrap()
}

/// When traffic was really blocked, ms since the start of the run, by the sample that was lost first.
const INJECTED: [(f64, f64); 8] = [
    (12_341.0, 199.0),
    (15_221.0, 500.0),
    (18_911.0, 1_500.0),
    (23_031.0, 199.0),
    (26_324.0, 499.0),
    (29_831.0, 1_499.0),
    (34_005.0, 300.0),
    (37_376.0, 999.0),
];

#[test]
fn eight_outages_are_eight_incidents() {
    let found = incidents::of(&recorded("eight-outages"));
    assert_eq!(found.len(), INJECTED.len(), "{:#?}", found.iter().map(|i| i.headline()).collect::<Vec<_>>());
    for (incident, (began_ms, least_ms)) in found.iter().zip(INJECTED) {
        assert!((incident.first_bad_ms - began_ms).abs() < 50.0, "{}", incident.headline());
        assert!(incident.min_ms >= least_ms, "{}", incident.headline());
        assert_eq!(incident.between, "between node1 and node2");
        assert_eq!(incident.layers, [Layer::L3, Layer::L4, Layer::L7]);
        assert!(incident.flows.len() >= 12 && incident.cause.is_none());
        assert!(incident.unaffected.iter().all(|id| !id.contains("same-node")), "{:?}", incident.unaffected);
    }
    let headline =
        "12.341 s: between node1 and node2, L3, L4 and L7, lost, 200–565 ms, 12 flows, no known cause";
    assert_eq!(found[0].headline(), headline);
}

#[test]
fn a_rollout_on_two_nodes_is_an_incident_for_each_node_and_layer() {
    let found = incidents::of(&recorded("upgrade-and-rollback"));
    let l7: Vec<_> = found.iter().filter(|incident| incident.layers == [Layer::L7]).collect();
    let causes: Vec<_> = l7.iter().map(|incident| incident.cause.as_deref().unwrap()).collect();
    let (one, two) = ("agent terminated on node1", "agent terminated on node2");
    assert_eq!(causes, [one, two, one, two]);
    assert!(found.is_sorted_by(|a, b| a.first_bad_ms <= b.first_bad_ms));
}

/// A run with one outage of each flow: client, server, first and last bad sample, cause.
fn run(outages: &[(&str, &str, f64, f64, Option<&str>)]) -> Run {
    let mut run = recorded("eight-outages");
    let template = run.flows[0].clone();
    let flow = |(at, &(client, server, from, to, cause)): (usize, &(&str, &str, f64, f64, Option<&str>))| {
        let attribution = cause.map(|node| Attribution {
            event: "agent terminated".into(),
            node: Some(node.into()),
            confidence: Confidence::High,
            evidence: String::new(),
        });
        let outage = Outage {
            class: "lost".into(),
            samples: 1,
            min_ms: to - from,
            max_ms: Some(to - from + 20.0),
            last_good_ms: Some(from - 10.0),
            first_bad_ms: from,
            last_bad_ms: to,
            first_good_ms: Some(to + 10.0),
            connections_cut: 0,
            step: None,
            attribution,
            noisy: false,
        };
        let (client_node, server_node) = (client.to_owned(), server.to_owned());
        Flow { id: format!("flow-{at}"), client_node, server_node, outages: vec![outage], ..template.clone() }
    };
    run.flows = outages.iter().enumerate().map(flow).collect();
    run
}

#[rstest]
#[case::same_path(&[("a", "b", 0.0, 9.0, None), ("b", "a", 5.0, 15.0, None)], 1)]
#[case::one_after_the_other(&[("a", "b", 0.0, 9.0, None), ("a", "b", 50.0, 60.0, None)], 2)]
#[case::touching_within_the_bounds(&[("a", "b", 0.0, 9.0, None), ("a", "b", 18.0, 30.0, None)], 1)]
#[case::through_a_third(&[("a", "b", 0.0, 9.0, None), ("a", "b", 60.0, 90.0, None), ("a", "b", 5.0, 70.0, None)], 1)]
#[case::two_nodes_at_once(&[("a", "a", 0.0, 9.0, None), ("b", "b", 0.0, 9.0, None)], 2)]
#[case::two_causes_at_once(&[("a", "b", 0.0, 9.0, Some("a")), ("a", "b", 0.0, 9.0, Some("b"))], 2)]
#[case::one_cause_on_two_paths(&[("a", "b", 0.0, 9.0, Some("a")), ("c", "a", 0.0, 9.0, Some("a"))], 1)]
#[case::any_node_is_no_bridge(&[
    ("a", "b", 0.0, 9.0, None), ("a", "c", 0.0, 9.0, None), ("a", "a, b, c", 0.0, 9.0, None),
], 2)]
#[case::any_node_alone(&[("a", "a, b", 0.0, 9.0, None)], 1)]
fn outages_belong_together(
    #[case] outages: &[(&str, &str, f64, f64, Option<&str>)],
    #[case] expected: usize,
) {
    let found = incidents::of(&run(outages));
    assert_eq!(found.len(), expected, "{found:#?}");
}

#[test]
fn noise_founds_no_incident_and_moves_no_bound() {
    let mut run =
        run(&[("a", "b", 0.0, 9.0, None), ("a", "b", 5.0, 500.0, None), ("c", "c", 0.0, 9.0, None)]);
    run.flows[1].outages[0].noisy = true;
    run.flows[2].outages[0].noisy = true;
    let found = incidents::of(&run);
    assert_eq!((found.len(), found[0].flows.len(), found[0].last_bad_ms), (1, 2, 9.0));
}
