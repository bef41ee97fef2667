//! Summaries, as wide as terminals are.

use std::path::Path;

use rstest::rstest;

use super::*;
use crate::fixture;
use crate::run::{Finding, Flow};

const WIDE: Layout<'_> = Layout { width: Some(100), colour: false, verbose: false, report: None };

/// The longest ids of the standard traffic.
const LONG: [&str; 5] = [
    "packet-udp/cross-node/pod-ip/no-policy/1450-bytes",
    "held-tcp/cross-node/pod-ip/no-policy/2000-bytes",
    "held-http/same-node/cluster-ip/l7-policy",
    "deny-stranger/same-node/pod-ip/l4-policy",
    "new-http/cross-node/pod-ip/l7-policy",
];

/// A run with outages of flows that have long ids.
fn long_ids() -> Run {
    let mut run = fixture::deny_leak();
    let disturbed = run.flows.iter_mut().filter(|flow| !flow.is_clean());
    for (flow, id) in disturbed.zip(LONG) {
        id.clone_into(&mut flow.id);
    }
    run.findings[0].summary = format!("{}: lost for at least 199 ms, 100 ms allowed", LONG[0]);
    run.findings[0].evidence =
        "during watch; the outages of the flow and their causes are in the report".into();
    run
}

#[test]
fn eighty_columns() {
    insta::assert_snapshot!(render(&long_ids(), &Layout { width: Some(80), ..WIDE }), @r#"
    ✗ failed: deny-tcp/cross-node/pod-ip was answered 3 times: denied traffic passed
      for 40–80 ms
      standin 1.5.13 → 1.6.12 → 1.5.13 on sandbox (v1.34.4, 2 nodes), 68.91 s

    incidents
      I6 49.960 s: between node1 and node2, policy, leak, 40–80 ms, 1 flow, agent
         terminated on node2

    flow                                               lost  worst outage
    ──────────────────────────────────────────────────────────────────────
    packet-udp/cross-node/pod-ip/no-policy/1450-bytes     2  0–20 ms
      lost, agent started on node1
    held-tcp/cross-node/pod-ip/no-policy/2000-bytes     153  1.53–1.57 s
      reset, agent terminated on node2
    held-http/same-node/cluster-ip/l7-policy            129  1.33–1.37 s
      reset, agent terminated on node1
    deny-stranger/same-node/pod-ip/l4-policy            153  1.53–1.57 s
      reset, agent terminated on node2
    new-http/cross-node/pod-ip/l7-policy                153  1.54–1.58 s
      refused, agent terminated on node2
    new-http/same-node/pod-ip                           130  1.34–1.38 s
      refused, agent terminated on node1
    new-http/cross-node/cluster-ip                      153  1.54–1.58 s
      refused, agent terminated on node2
    deny-tcp/cross-node/pod-ip                            3  40–80 ms
      leak, agent terminated on node2
    4 L3 flows                                            0  no loss
    10 L4 flows                                           0  no loss
    1 policy flow                                         0  all blocked

    findings
      F1 packet-udp/cross-node/pod-ip/no-policy/1450-bytes: lost for at least 199
         ms, 100 ms allowed (policy-gap-on-restart)
         during watch; the outages of the flow and their causes are in the report
         reproduce: seatrial run 1.5.13 1.6.12 --rollback --subject standin --nodes 2

    budgets
      ✓ L3, upgrade 1.5.13 → 1.6.12 ("Minimal to None"): worst 0–20 ms in 1 of 5
        flows
      ✓ L4, upgrade 1.5.13 → 1.6.12 ("Minimal to None"): nothing lost in 10 flows
      ✓ L7, upgrade 1.5.13 → 1.6.12 ("Clients must reconnect"): held cut once per
        restart; new worked 0 ms after ready
      ✗ policy: 3 answers in 1 flow, leak of 40–80 ms
      – L7, rollback 1.6.12 → 1.5.13 ("N/A"): held cut once per restart; new refused
        for 1.13–1.55 s

    noise: canary clean; probes sent late by 0.06 ms (median), 0.21 ms (p99), 1.9 ms
      (worst)
    machine: CPU time stolen by the host 40 ms; CPU pressure 18 %
    "#);
}

#[test]
fn hundred_columns() {
    insta::assert_snapshot!(render(&fixture::clean(), &WIDE), @r#"
    ✓ passed: all 25 flows stayed inside their budgets; HTTP clients had to reconnect, as documented
      standin 1.5.13 → 1.6.12 → 1.5.13 on sandbox (v1.34.4, 2 nodes), 68.91 s

    flow                              layer   lost  worst outage  class    cause
    ─────────────────────────────────────────────────────────────────────────────────────────────────
    packet-udp/cross-node/cluster-ip  L3         2  0–20 ms       lost     agent started on node1
    held-http/cross-node/pod-ip       L7       153  1.53–1.57 s   reset    agent terminated on node2
    held-http/same-node/pod-ip        L7       129  1.33–1.37 s   reset    agent terminated on node1
    held-http/cross-node/cluster-ip   L7       153  1.53–1.57 s   reset    agent terminated on node2
    new-http/cross-node/pod-ip        L7       153  1.54–1.58 s   refused  agent terminated on node2
    new-http/same-node/pod-ip         L7       130  1.34–1.38 s   refused  agent terminated on node1
    new-http/cross-node/cluster-ip    L7       153  1.54–1.58 s   refused  agent terminated on node2
    4 L3 flows                        L3         0  no loss
    10 L4 flows                       L4         0  no loss
    2 policy flows                    policy     0  all blocked

    budgets
      ✓ L3, upgrade 1.5.13 → 1.6.12 ("Minimal to None"): worst 0–20 ms in 1 of 5 flows
      ✓ L4, upgrade 1.5.13 → 1.6.12 ("Minimal to None"): nothing lost in 10 flows
      ✓ L7, upgrade 1.5.13 → 1.6.12 ("Clients must reconnect"): held cut once per restart; new worked 0
        ms after ready
      ✓ policy: no answer in 2 flows
      – L7, rollback 1.6.12 → 1.5.13 ("N/A"): held cut once per restart; new refused for 1.13–1.55 s

    noise: canary clean; probes sent late by 0.06 ms (median), 0.21 ms (p99), 1.9 ms (worst)
    machine: CPU time stolen by the host 40 ms; CPU pressure 18 %
    "#);
}

#[test]
fn without_a_terminal_nothing_is_wrapped() {
    insta::assert_snapshot!(render(&long_ids(), &Layout { width: None, ..WIDE }), @r#"
    ✗ failed: deny-tcp/cross-node/pod-ip was answered 3 times: denied traffic passed for 40–80 ms
      standin 1.5.13 → 1.6.12 → 1.5.13 on sandbox (v1.34.4, 2 nodes), 68.91 s

    incidents
      I6 49.960 s: between node1 and node2, policy, leak, 40–80 ms, 1 flow, agent terminated on node2

    flow                                               layer     sent  lost  worst outage  class    cause
    ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    packet-udp/cross-node/pod-ip/no-policy/1450-bytes  L3       5,360     2  0–20 ms       lost     agent started on node1
    held-tcp/cross-node/pod-ip/no-policy/2000-bytes    L7       2,680   153  1.53–1.57 s   reset    agent terminated on node2
    held-http/same-node/cluster-ip/l7-policy           L7       2,680   129  1.33–1.37 s   reset    agent terminated on node1
    deny-stranger/same-node/pod-ip/l4-policy           L7       2,680   153  1.53–1.57 s   reset    agent terminated on node2
    new-http/cross-node/pod-ip/l7-policy               L7       2,680   153  1.54–1.58 s   refused  agent terminated on node2
    new-http/same-node/pod-ip                          L7       2,680   130  1.34–1.38 s   refused  agent terminated on node1
    new-http/cross-node/cluster-ip                     L7       2,680   153  1.54–1.58 s   refused  agent terminated on node2
    deny-tcp/cross-node/pod-ip                         policy   2,680     3  40–80 ms      leak     agent terminated on node2
    4 L3 flows                                         L3      21,440     0  no loss
    10 L4 flows                                        L4      26,800     0  no loss
    1 policy flow                                      policy   2,680     0  all blocked

    findings
      F1 packet-udp/cross-node/pod-ip/no-policy/1450-bytes: lost for at least 199 ms, 100 ms allowed (policy-gap-on-restart)
         during watch; the outages of the flow and their causes are in the report
         reproduce: seatrial run 1.5.13 1.6.12 --rollback --subject standin --nodes 2

    budgets
      ✓ L3, upgrade 1.5.13 → 1.6.12 ("Minimal to None"): worst 0–20 ms in 1 of 5 flows
      ✓ L4, upgrade 1.5.13 → 1.6.12 ("Minimal to None"): nothing lost in 10 flows
      ✓ L7, upgrade 1.5.13 → 1.6.12 ("Clients must reconnect"): held cut once per restart; new worked 0 ms after ready
      ✗ policy: 3 answers in 1 flow, leak of 40–80 ms
      – L7, rollback 1.6.12 → 1.5.13 ("N/A"): held cut once per restart; new refused for 1.13–1.55 s

    noise: canary clean; probes sent late by 0.06 ms (median), 0.21 ms (p99), 1.9 ms (worst)
    machine: CPU time stolen by the host 40 ms; CPU pressure 18 %
    "#);
}

#[test]
fn an_errored_run_names_the_failed_step() {
    let layout = Layout { report: Some(Path::new("runs/r1/report.html")), ..WIDE };
    insta::assert_snapshot!(render(&fixture::errored(), &layout), @r#"
    ! errored: the cluster did not come up: node2 was not Ready within 30 s
      standin 1.5.13 → 1.6.12 → 1.5.13 on sandbox (v1.34.4, 2 nodes), 33.12 s

    step "cluster up" failed after 32.24 s: node2: kubelet exited with 1, last line: "failed to run
      Kubelet: no cpuset controller"

    noise: not measured, no traffic was sent
    report: runs/r1/report.html
    "#);
}

#[rstest]
#[case::hundred(100)]
#[case::eighty(80)]
#[case::sixty(60)]
#[case::forty(40)]
fn every_line_but_a_command_fits(#[case] width: u16) {
    let text = render(&long_ids(), &Layout { width: Some(width), ..WIDE });
    let is_id = |line: &str| !line.contains(' ') || line.trim_start().starts_with("F1 ");
    for line in text.lines().filter(|line| !line.contains("reproduce: ")) {
        let fits = console::measure_text_width(line) <= usize::from(width);
        assert!(fits || width < 60 && is_id(line.trim()), "{line}");
    }
}

#[rstest]
#[case::no_terminal(None)]
#[case::hundred(Some(100))]
#[case::eighty(Some(80))]
fn an_id_is_never_broken(#[case] width: Option<u16>) {
    let text = render(&long_ids(), &Layout { width, ..WIDE });
    for id in LONG {
        assert!(text.lines().any(|line| line.starts_with(id)), "{id} is broken:\n{text}");
    }
}

#[test]
fn shared_evidence_and_commands_are_shown_once() {
    let mut run = fixture::deny_leak();
    let first = run.findings[0].clone();
    run.findings.push(Finding { id: "F2".into(), ..first.clone() });
    let layout = Layout { width: None, ..WIDE };
    let shown = |run: &Run, words: &str| render(run, &layout).matches(words).count();
    assert_eq!([&first.summary, &first.evidence, "reproduce:"].map(|words| shown(&run, words)), [2, 1, 1]);
    run.findings[1].evidence = "another".to_owned();
    assert_eq!([&first.evidence, "another", "reproduce:"].map(|words| shown(&run, words)), [1, 1, 1]);
}

#[test]
fn the_number_of_listed_findings_has_a_bound() {
    let mut run = fixture::deny_leak();
    run.findings = (1..=135).map(|n| Finding { id: format!("F{n}"), ..run.findings[0].clone() }).collect();
    let text = render(&run, &WIDE);
    assert!(text.contains("  F20 ") && !text.contains("  F21 "), "{text}");
    assert!(text.contains("  and 115 more, in run.json and report.html\n"), "{text}");
}

#[test]
fn verbose_lists_every_flow() {
    let run = fixture::clean();
    let text = render(&run, &Layout { verbose: true, width: None, ..WIDE });
    for flow in run.flows.iter().filter(|flow| flow.layer != model::Layer::Canary) {
        assert!(text.contains(&flow.id), "{} is missing", flow.id);
    }
}

#[test]
fn colour_is_used_only_on_request() {
    assert!(render(&fixture::clean(), &Layout { colour: true, ..WIDE }).contains("\u{1b}[32m"));
    assert!(!render(&fixture::clean(), &WIDE).contains('\u{1b}'));
}

#[test]
fn a_flow_without_samples_is_never_shown_as_clean() {
    let mut run = fixture::clean();
    run.flows[1].sent = 0;
    assert!(render(&run, &WIDE).contains("no probes sent"));
}

#[test]
fn escape_sequences_of_a_record_do_not_reach_the_terminal() {
    let mut run = fixture::deny_leak();
    run.reason = "\u{1b}]0;title\u{7}passed\n✓ passed: all well".into();
    run.flows[0].id = "x\u{1b}[2J".into();
    run.flows
        .iter_mut()
        .for_each(|flow: &mut Flow| flow.outages.iter_mut().for_each(|o| o.class += "\u{9b}1m"));
    let text = render(&run, &WIDE);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("✓ passed")), "{text}");
}
