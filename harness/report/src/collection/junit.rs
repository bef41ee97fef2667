//! One JUnit file with a test case for each run.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{Recorded, Status};
use crate::junit::class_name;
use crate::names::Unique;

/// Renders the runs as JUnit XML.
///
/// A run that failed is a `failure`, one that was not judged is an `error`; a trial that failed as expected is a success.
///
/// # Errors
/// Fails only when the XML writer does.
pub fn render(runs: &[Recorded]) -> Result<String, SerializeError> {
    let mut runs: Vec<_> = runs.iter().map(Recorded::printable).collect();
    // Runs of one name are numbered in order of time, whatever their outcomes.
    runs.sort_by_cached_key(|run| (run.stable_name(), run.run.started.clone(), run.run.id.clone()));
    let mut suite = TestSuite::new("runs");
    let mut unique = Unique::default();
    for run in &runs {
        let class = class_name(&run.run);
        let name = unique.name(format!("{class} {}", run.stable_name()));
        suite.add_test_case(case(run, &class, &name[class.len() + 1..]));
    }
    let mut report = Report::new("seatrial");
    report.set_time(duration(runs.iter().map(|run| run.run.elapsed_ms).sum()));
    report.add_test_suite(suite);
    report.to_string()
}

fn case(run: &Recorded, class: &str, name: &str) -> TestCase {
    let mut status = match run.status() {
        Status::Passed => TestCaseStatus::success(),
        Status::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::NotJudged => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if run.status() != Status::Passed {
        status.set_type(run.outcome()).set_message(run.reasons().join("; "));
        status.set_description(format!("{}\nrepeat: {}", run.reasons().join("\n"), run.command()));
    }
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case.set_time(duration(run.run.elapsed_ms));
    case.set_system_out(format!("run {}: {}, {}", run.run.id, run.run.versions(), run.run.reason));
    case
}

fn duration(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::several;
    use super::*;

    #[test]
    fn every_run_is_a_case() {
        insta::assert_snapshot!(render(&several()).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="seatrial" tests="4" skipped="0" failures="1" errors="1" time="239.857">
            <testsuite name="runs" tests="4" skipped="0" errors="1" failures="1">
                <testcase name="1.5-1.6-1.5" classname="seatrial.standin.sandbox" time="68.912">
                    <system-out>run r1: 1.5.13 → 1.6.12 → 1.5.13, all 25 flows stayed inside their budgets; HTTP clients had to reconnect, as documented</system-out>
                </testcase>
                <testcase name="1.5-1.6-1.5 (2)" classname="seatrial.standin.sandbox" time="33.120">
                    <error message="the cluster did not come up: node2 was not Ready within 30 s" type="errored">the cluster did not come up: node2 was not Ready within 30 s
        repeat: seatrial run 1.5.13 1.6.12 --rollback --nodes 2</error>
                    <system-out>run r3: 1.5.13 → 1.6.12 → 1.5.13, the cluster did not come up: node2 was not Ready within 30 s</system-out>
                </testcase>
                <testcase name="kvstore-keys/skipped" classname="seatrial.standin.sandbox" time="68.912">
                    <system-out>run r2: 1.5.13 → 1.6.12 → 1.5.13, deny-tcp/cross-node/pod-ip was answered 3 times: denied traffic passed for 40–80 ms</system-out>
                </testcase>
                <testcase name="kvstore-keys/skipped (2)" classname="seatrial.standin.sandbox" time="68.912">
                    <failure message="not found: L4 held; deny-tcp/cross-node/pod-ip had an outage that is policy" type="not as expected">not found: L4 held
        deny-tcp/cross-node/pod-ip had an outage that is policy
        repeat: seatrial scenario run kvstore-keys --arm skipped</failure>
                    <system-out>run r4: 1.5.13 → 1.6.12 → 1.5.13, deny-tcp/cross-node/pod-ip was answered 3 times: denied traffic passed for 40–80 ms</system-out>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn names_are_unique_and_stable() {
        let mut runs = several();
        runs[0].run.started = "2026-11-25T00:00:00Z".into();
        let xml = render(&runs).unwrap();
        for name in ["1.5-1.6-1.5", "1.5-1.6-1.5 (2)", "kvstore-keys/skipped", "kvstore-keys/skipped (2)"] {
            assert_eq!(xml.matches(&format!("<testcase name=\"{name}\"")).count(), 1, "{name}: {xml}");
        }
    }
}
