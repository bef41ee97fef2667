//! Expectations on small records.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn flow(id: &str, layer: &str, kind: &str, server_node: &str, outages: &Value) -> Value {
    json!({
        "id": id, "kind": kind, "protocol": "tcp", "path": "", "layer": layer, "client": "", "server": "",
        "client_node": "node1", "server_node": server_node, "period_ms": 10.0, "window_ms": [0.0, 1.0],
        "planned": 1, "sent": 1, "answered": 1, "lost": 0, "classes": {}, "latency_ms": null, "outages": outages,
    })
}

fn outage(class: &str, step: &str, cause: &str) -> Value {
    json!({
        "class": class, "samples": 1, "min_ms": 1.0, "max_ms": 2.0, "last_good_ms": 0.0, "first_bad_ms": 1.0,
        "last_bad_ms": 1.0, "first_good_ms": 2.0, "connections_cut": 0, "step": step,
        "attribution": {"event": cause, "node": "node1", "confidence": "high", "evidence": ""},
    })
}

fn finding(flow: Option<&str>, summary: &str) -> Value {
    json!({
        "id": "F1", "hazard": null, "flow": flow, "summary": summary,
        "evidence": "during upgrade 1.5.13 -> 1.6.12; x", "reproduce": "",
    })
}

fn run(verdict: &str, findings: &[Value], steps: &[(&str, &str)]) -> Run {
    let cut = json!([outage("reset", "upgrade 1.5.13 -> 1.6.12", "agent deleted")]);
    let steps: Vec<_> = steps
        .iter()
        .map(|(name, outcome)| json!({"name": name, "started_ms": 0.0, "ended_ms": 1.0, "outcome": outcome}))
        .collect();
    let record = json!({
        "schema": "seatrial/run/v1", "id": "r", "seatrial": "0", "started": "", "elapsed_ms": 1.0,
        "verdict": verdict, "reason": "why", "exit_code": 0, "subject": "x",
        "provider": {"name": "sandbox", "kubernetes": "", "nodes": []}, "path": [], "steps": steps,
        "noise": {"canary_clean": true, "canary_lost": 0, "lateness_p50_us": 0.0, "lateness_p99_us": 0.0, "lateness_max_us": 0.0},
        "flows": [
            flow("far", "L4", "new", "node2", &json!([])),
            flow("near", "L4", "new", "node1", &json!([])),
            flow("proxied", "L7", "held", "node2", &cut),
        ],
        "observations": [{"at_ms": 1.0, "node": "node1", "role": "agent", "object": "pod a", "change": "cannot-start", "detail": "ErrImagePull"}],
        "findings": findings, "budgets": [],
    });
    serde_json::from_value(record).unwrap()
}

fn judge(expected: &str, run: &Run) -> Vec<String> {
    let expected: Expected = serde_saphyr::from_str(expected).unwrap();
    let (from, to) = ("1.5.13".parse().unwrap(), "1.6.12".parse().unwrap());
    let procedure = Procedure::of_plan(&guide::plan(&from, &to).unwrap(), true);
    expected.judge(run, &procedure, Path::new("/nowhere"))
}

#[rstest]
#[case::nothing_named("{}")]
#[case::cut("{outages: [{layer: L7, kind: held, class: reset, cause: agent, during: upgrade}]}")]
#[case::clean_elsewhere("{clean: [{layer: L4}]}")]
#[case::clean_in_another_step("{clean: [{during: restart}]}")]
#[case::seen("{seen: [{role: agent, change: cannot-start, detail: ImagePull}]}")]
#[case::not_seen("{seen: [{role: agent, change: deleted, never: true}]}")]
fn a_run_that_passed_can_be_as_expected(#[case] expected: &str) {
    assert_eq!(judge(expected, &run("passed", &[], &[])), [""; 0]);
}

/// The sample that ends the outage of the record was asked at 2 ms, and answered at 3 ms.
#[rstest]
#[case::after_it_began(1.5, true)]
#[case::asked_before(2.5, true)]
#[case::answered_before(3.5, false)]
fn an_outage_is_ended_by_a_step_that_had_begun(#[case] began_ms: f64, #[case] holds: bool) {
    let mut run = run("passed", &[], &[("ask for names", "done")]);
    run.steps[0].started_ms = began_ms;
    run.flows[2].outages[0].max_ms = Some(3.0);
    let until = |step: &str| format!("{{outages: [{{layer: L7, until: {step}}}]}}");
    assert_eq!(judge(&until("ask"), &run).is_empty(), holds);
    assert!(!judge(&until("restart"), &run).is_empty(), "there is no such step");
    let outage = &mut run.flows[2].outages[0];
    (outage.first_good_ms, outage.max_ms) = (None, None);
    assert!(!judge(&until("ask"), &run).is_empty(), "it never ended");
}

#[test]
fn what_noise_explains_does_not_soil_a_flow() {
    let mut run = run("passed", &[], &[]);
    let clean = "{clean: [{layer: L7}]}";
    assert_eq!(judge(clean, &run).len(), 1);
    run.flows[2].outages[0].noisy = true;
    assert_eq!(judge(clean, &run), [""; 0]);
}

#[rstest]
#[case::other_class("{outages: [{layer: L7, class: refused}]}", "proxied had no outage that is L7 refused")]
#[case::one_was_spared("{outages: [{class: reset}]}", "far had no outage")]
#[case::no_such_flow("{outages: [{kind: packet}]}", "no flow is packet")]
#[case::no_such_flow_is_not_clean("{clean: [{kind: packet}]}", "no flow is packet")]
#[case::not_clean("{clean: [{layer: L7}]}", "proxied had an outage that is L7")]
#[case::unseen("{seen: [{role: agent, change: deleted}]}", "not observed: agent deleted")]
#[case::seen("{seen: [{role: agent, change: cannot-start, never: true}]}", "observed, but must not occur")]
#[case::finding_is_missing("{findings: [{layer: L4, place: cross-node}]}", "not found: L4 cross-node")]
#[case::verdict("{findings: [{layer: L4}]}", "the verdict is passed, not failed: why")]
#[case::did_not_stop("{stops-at: preflight}", "no step failed")]
#[case::objects("{objects: [{object: a, at: b, absent: true}]}", "a at b: the run has no point b")]
fn what_does_not_hold_is_said(#[case] expected: &str, #[case] said: &str) {
    let wrong = judge(expected, &run("passed", &[], &[]));
    assert!(wrong.iter().any(|line| line.contains(said)), "{wrong:?}");
}

#[rstest]
#[case::said("{said: [{step: lint, words: too many}]}", None)]
#[case::never("{said: [{step: lint, words: nothing, never: true}]}", None)]
#[case::other_words(
    "{said: [{step: lint, words: fine}]}",
    Some("`lint against 1.6.12` does not have `fine`")
)]
#[case::said_all_the_same("{said: [{step: lint, words: many, never: true}]}", Some("but must not have"))]
#[case::no_such_step("{said: [{step: cilium, words: a}]}", Some("no step is `cilium`"))]
fn steps_are_heard(#[case] expected: &str, #[case] said: Option<&str>) {
    let mut record = run("passed", &[], &[("lint against 1.6.12", "done")]);
    record.steps[0].detail = Some("policy p: too many".to_owned());
    let wrong = judge(expected, &record);
    assert_eq!(wrong.is_empty(), said.is_none(), "{wrong:?}");
    assert!(said.is_none_or(|said| wrong[0].contains(said)), "{wrong:?}");
}

#[rstest]
#[case::exactly("{findings: [{layer: L4, place: cross-node, during: upgrade}]}", None)]
#[case::by_words("{findings: [{says: lost for}]}", None)]
#[case::possible("{findings: [{during: upgrade}], possible: [{layer: L4}]}", None)]
#[case::others(
    "{findings: [{flow: near}], possible: [{layer: L7}]}",
    Some("found, but not expected: lost for")
)]
#[case::only_possible("{possible: [{layer: L4}]}", Some("the verdict is failed, not passed"))]
#[case::by_id("{findings: [{flow: fa}]}", None)]
#[case::other_id("{findings: [{flow: near}]}", Some("found, but not expected: lost for"))]
#[case::same_node("{findings: [{layer: L4, place: same-node}]}", Some("found, but not expected: lost for"))]
#[case::other_transition("{findings: [{during: rollback}]}", Some("not found: during `rollback`"))]
#[case::none_named("{}", Some("the verdict is failed, not passed"))]
fn findings_are_exactly_those_that_are_named(#[case] expected: &str, #[case] said: Option<&str>) {
    let wrong = judge(expected, &run("failed", &[finding(Some("far"), "lost for 3 s")], &[]));
    assert_eq!(wrong.is_empty(), said.is_none(), "{wrong:?}");
    assert!(said.is_none_or(|said| wrong.iter().any(|line| line.contains(said))), "{wrong:?}");
}

#[test]
fn a_finding_without_a_flow_fits_no_pattern_of_flows() {
    let stuck = run("failed", &[finding(None, "upgrade did not end")], &[]);
    assert_eq!(judge("{findings: [{says: did not end}]}", &stuck), [""; 0]);
    assert!(!judge("{findings: [{layer: L4}]}", &stuck).is_empty());
}

#[rstest]
#[case::there("{stops-at: preflight}", None)]
#[case::elsewhere("{stops-at: upgrade}", Some("ended at `pre-flight check 1.6.12` and not at upgrade"))]
fn a_procedure_ends_where_it_must(#[case] expected: &str, #[case] said: Option<&str>) {
    let stopped = run("passed", &[], &[("baseline", "done"), ("pre-flight check 1.6.12", "failed")]);
    let wrong = judge(expected, &stopped);
    assert_eq!(wrong.is_empty(), said.is_none(), "{wrong:?}");
    assert!(said.is_none_or(|said| wrong[0].contains(said)), "{wrong:?}");
}
