//! `junit.xml`: a test case for the verdict, every step, flow and budget.
//!
//! Names of cases hold neither patch versions nor run ids, and class names hold the subject, the provider and the name of the
//! run: a case keeps its name from run to run, and cases of different runs differ.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::names::{self, Unique, without_patches};
use crate::run::{Budget, Finding, Flow, Outcome, Run, Step, Verdict};
use crate::units;

/// Renders a run as JUnit XML.
///
/// A fault of the subject is a `failure`; a fault of the harness, the cluster or the machine is an `error`. A run that did not
/// pass always has at least one of them or a `skipped`.
///
/// # Errors
/// Fails only when the XML writer does.
pub fn render(run: &Run) -> Result<String, SerializeError> {
    let run = &run.printable();
    let mut report = Report::new(format!("seatrial {} {}", run.subject, names::of_run(run)));
    report.set_time(duration(run.elapsed_ms));
    report.add_test_suite(suite(run, "run", [verdict(run)]));
    report.add_test_suite(suite(run, "steps", run.steps.iter().map(step)));
    report.add_test_suite(suite(run, "flows", run.flows.iter().map(|found| flow(found, &run.findings))));
    report.add_test_suite(suite(run, "budgets", run.budgets.iter().map(budget)));
    let of_no_flow =
        |finding: &&Finding| !run.flows.iter().any(|flow| finding.flow.as_ref() == Some(&flow.id));
    report.add_test_suite(suite(run, "findings", run.findings.iter().filter(of_no_flow).map(finding)));
    report.to_string()
}

/// The class name of the cases of a run.
pub(crate) fn class_name(run: &Run) -> String {
    format!("seatrial.{}.{}", names::part(&run.subject), names::part(&run.provider.name))
}

fn suite(run: &Run, name: &str, cases: impl IntoIterator<Item = TestCase>) -> TestSuite {
    let mut suite = TestSuite::new(name);
    let class = format!("{}.{}.{name}", class_name(run), names::part(&names::of_run(run)));
    let mut unique = Unique::default();
    for mut case in cases {
        case.name = unique.name(case.name.to_string()).into();
        case.set_classname(class.as_str());
        suite.add_test_case(case);
    }
    suite
}

fn verdict(run: &Run) -> TestCase {
    let mut status = match run.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Skipped => TestCaseStatus::skipped(),
        Verdict::Errored | Verdict::Noisy | Verdict::Interrupted => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    if run.verdict != Verdict::Passed {
        status.set_type(run.verdict.to_string()).set_message(run.reason.as_str());
    }
    let mut case = TestCase::new("verdict", status);
    case.set_system_out(format!("run {}: {} {}", run.id, run.subject, run.versions()));
    case
}

fn step(step: &Step) -> TestCase {
    let mut status = match step.outcome {
        Outcome::Done => TestCaseStatus::success(),
        Outcome::Failed | Outcome::Interrupted => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if step.outcome != Outcome::Done {
        status.set_type(step.outcome.to_string());
        status.set_message(step.detail.as_deref().unwrap_or("no reason was recorded"));
    }
    let mut case = TestCase::new(without_patches(&step.name), status);
    case.set_time(duration(step.ended_ms - step.started_ms));
    case
}

fn flow(flow: &Flow, findings: &[Finding]) -> TestCase {
    let findings: Vec<&Finding> =
        findings.iter().filter(|finding| finding.flow.as_ref() == Some(&flow.id)).collect();
    let status = if let [first, ..] = findings[..] {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(first.hazard.as_deref().unwrap_or("finding")).set_message(first.summary.as_str());
        status.set_description(findings.iter().copied().map(describe).collect::<Vec<_>>().join("\n"));
        status
    } else if flow.sent == 0 {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type("no-samples").set_message("no probe of this flow was sent");
        status
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new(flow.id.as_str(), status);
    case.set_time(duration(flow.window_ms.1 - flow.window_ms.0));
    case.set_system_out(measured(flow));
    case
}

fn measured(flow: &Flow) -> String {
    let wrong = if flow.is_deny() { "answered" } else { "lost" };
    let mut lines = vec![format!(
        "{}: {} sent, {} {wrong}",
        flow.path,
        units::count(flow.sent),
        units::count(flow.bad())
    )];
    lines.extend(flow.outages.iter().map(|outage| {
        let (class, duration) = (flow.class_of(outage), outage.duration());
        format!("{class} for {duration} from {}: {}", units::instant(outage.first_bad_ms), outage.cause())
    }));
    lines.join("\n")
}

fn budget(budget: &Budget) -> TestCase {
    let status = match budget.kept {
        Some(true) => TestCaseStatus::success(),
        Some(false) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type("budget").set_message(format!("{}; measured: {}", budget.rule, budget.measured));
            status
        }
        None => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("reported, not judged; measured: {}", budget.measured));
            status
        }
    };
    TestCase::new(without_patches(&budget.name), status)
}

fn finding(finding: &Finding) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let name = finding.hazard.as_deref().unwrap_or("finding");
    status.set_type(name).set_message(finding.summary.as_str());
    status.set_description(describe(finding));
    TestCase::new(name, status)
}

fn describe(finding: &Finding) -> String {
    format!("{}: {}\n{}\nreproduce: {}", finding.id, finding.summary, finding.evidence, finding.reproduce)
}

fn duration(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use rstest::rstest;

    #[test]
    fn a_failed_bring_up_is_an_error_of_its_step() {
        insta::assert_snapshot!(render(&fixture::errored()).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="seatrial standin 1.5-1.6-1.5" tests="3" skipped="0" failures="0" errors="2" time="33.120">
            <testsuite name="run" tests="1" skipped="0" errors="1" failures="0">
                <testcase name="verdict" classname="seatrial.standin.sandbox.1_5-1_6-1_5.run">
                    <error message="the cluster did not come up: node2 was not Ready within 30 s" type="errored"/>
                    <system-out>run 20261124-031502-b7f3: standin 1.5.13 → 1.6.12 → 1.5.13</system-out>
                </testcase>
            </testsuite>
            <testsuite name="steps" tests="2" skipped="0" errors="1" failures="0">
                <testcase name="check the machine" classname="seatrial.standin.sandbox.1_5-1_6-1_5.steps" time="0.412"/>
                <testcase name="cluster up" classname="seatrial.standin.sandbox.1_5-1_6-1_5.steps" time="32.243">
                    <error message="node2: kubelet exited with 1, last line: &quot;failed to run Kubelet: no cpuset controller&quot;" type="failed"/>
                </testcase>
            </testsuite>
            <testsuite name="flows" tests="0" skipped="0" errors="0" failures="0"/>
            <testsuite name="budgets" tests="0" skipped="0" errors="0" failures="0"/>
            <testsuite name="findings" tests="0" skipped="0" errors="0" failures="0"/>
        </testsuites>
        "#);
    }

    #[test]
    fn a_finding_fails_its_flow() {
        let mut run = fixture::deny_leak();
        run.steps.clear();
        run.flows.retain(|flow| flow.id.starts_with("deny") || flow.id == "held-http/same-node/pod-ip");
        insta::assert_snapshot!(render(&run).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="seatrial standin 1.5-1.6-1.5" tests="9" skipped="1" failures="3" errors="0" time="68.912">
            <testsuite name="run" tests="1" skipped="0" errors="0" failures="1">
                <testcase name="verdict" classname="seatrial.standin.sandbox.1_5-1_6-1_5.run">
                    <failure message="deny-tcp/cross-node/pod-ip was answered 3 times: denied traffic passed for 40–80 ms" type="failed"/>
                    <system-out>run 20261124-031502-b7f3: standin 1.5.13 → 1.6.12 → 1.5.13</system-out>
                </testcase>
            </testsuite>
            <testsuite name="steps" tests="0" skipped="0" errors="0" failures="0"/>
            <testsuite name="flows" tests="3" skipped="0" errors="0" failures="1">
                <testcase name="held-http/same-node/pod-ip" classname="seatrial.standin.sandbox.1_5-1_6-1_5.flows" time="53.600">
                    <system-out>same-node, pod IP, L7 policy: 2,680 sent, 129 lost
        reset for 1.33–1.37 s from 27.207 s: agent terminated on node1
        reset for 1.24–1.28 s from 49.123 s: agent terminated on node1</system-out>
                </testcase>
                <testcase name="deny-tcp/cross-node/pod-ip" classname="seatrial.standin.sandbox.1_5-1_6-1_5.flows" time="53.600">
                    <failure message="traffic that the policy forbids was answered during the rollback" type="policy-gap-on-restart">F1: traffic that the policy forbids was answered during the rollback
        3 of 2,680 probes answered between 49.960 s and 50.000 s; the agent on node2 was away from 49.266 s to 50.180 s
        reproduce: seatrial run 1.5.13 1.6.12 --rollback --subject standin --nodes 2</failure>
                    <system-out>cross-node, pod IP, denied by policy: 2,680 sent, 3 answered
        leak for 40–80 ms from 49.960 s: agent terminated on node2</system-out>
                </testcase>
                <testcase name="deny-tcp/same-node/pod-ip" classname="seatrial.standin.sandbox.1_5-1_6-1_5.flows" time="53.600">
                    <system-out>same-node, pod IP, denied by policy: 2,680 sent, 0 answered</system-out>
                </testcase>
            </testsuite>
            <testsuite name="budgets" tests="5" skipped="1" errors="0" failures="1">
                <testcase name="L3, upgrade 1.5 → 1.6" classname="seatrial.standin.sandbox.1_5-1_6-1_5.budgets"/>
                <testcase name="L4, upgrade 1.5 → 1.6" classname="seatrial.standin.sandbox.1_5-1_6-1_5.budgets"/>
                <testcase name="L7, upgrade 1.5 → 1.6" classname="seatrial.standin.sandbox.1_5-1_6-1_5.budgets"/>
                <testcase name="policy" classname="seatrial.standin.sandbox.1_5-1_6-1_5.budgets">
                    <failure message="a denied probe is never answered; measured: 3 answers in 1 flow, leak of 40–80 ms" type="budget"/>
                </testcase>
                <testcase name="L7, rollback 1.6 → 1.5" classname="seatrial.standin.sandbox.1_5-1_6-1_5.budgets">
                    <skipped message="reported, not judged; measured: held cut once per restart; new refused for 1.13–1.55 s"/>
                </testcase>
            </testsuite>
            <testsuite name="findings" tests="0" skipped="0" errors="0" failures="0"/>
        </testsuites>
        "#);
    }

    #[test]
    fn names_hold_neither_patch_versions_nor_the_run_id() {
        let (mut run, mut next) = (fixture::deny_leak(), fixture::deny_leak());
        run.findings[0].flow = None;
        let mut text = serde_json::to_string(&run).unwrap();
        text = text.replace("1.5.13", "1.5.14").replace("1.6.12", "1.6.13");
        next.clone_from(&serde_json::from_str(&text).unwrap());
        next.id = "another".into();
        let cases = |run: &Run| {
            let xml = render(run).unwrap();
            let cases = xml.split("<testcase ").skip(1).filter_map(|case| case.split(" time=").next());
            cases.filter_map(|case| case.split('>').next()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(cases(&run), cases(&next));
        let unique: std::collections::BTreeSet<_> = cases(&run).into_iter().collect();
        assert!(unique.len() > 20 && !unique.iter().any(|case| case.contains("1.5.1")), "{unique:?}");
    }

    #[test]
    fn arms_of_a_scenario_have_cases_of_their_own() {
        let named = |name: &str| render(&Run { name: Some(name.into()), ..fixture::clean() }).unwrap();
        let class = r#"classname="seatrial.standin.sandbox.kvstore-keys/followed.flows""#;
        assert!(named("kvstore-keys/followed").contains(class));
        assert!(!named("kvstore-keys/skipped").contains(class));
    }

    #[rstest]
    #[case::errored(Verdict::Errored, r#"errors="1""#)]
    #[case::failed(Verdict::Failed, r#"failures="1""#)]
    #[case::noisy(Verdict::Noisy, r#"errors="1""#)]
    #[case::interrupted(Verdict::Interrupted, r#"errors="1""#)]
    fn a_run_that_did_not_pass_is_never_green(#[case] verdict: Verdict, #[case] counted: &str) {
        let mut run = fixture::clean();
        run.verdict = verdict;
        let xml = render(&run).unwrap();
        let run_suite = xml.lines().find(|line| line.contains(r#"<testsuite name="run""#)).unwrap();
        assert!(run_suite.contains(counted), "{run_suite}");
    }

    #[test]
    fn a_flow_without_samples_is_an_error() {
        let mut run = fixture::clean();
        run.flows[0].sent = 0;
        assert!(render(&run).unwrap().contains("no probe of this flow was sent"));
    }
}
