//! One JUnit file: a test case a run, so that CI counts what people count.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{Recorded, Standing};

/// Renders the runs as JUnit XML.
///
/// What is wrong is a `failure`, what could not be judged is an `error`; an arm that must fail, and did, is a success.
///
/// # Errors
/// Fails only when the XML writer does.
pub fn render(runs: &[Recorded]) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new("runs");
    for run in super::sorted(runs) {
        suite.add_test_case(case(run));
    }
    let mut report = Report::new("seatrial");
    let elapsed_ms: f64 = runs.iter().map(|run| run.run.elapsed_ms).sum();
    report.set_time(Duration::try_from_secs_f64(elapsed_ms / 1000.0).unwrap_or_default());
    report.add_test_suite(suite);
    report.to_string()
}

fn case(run: &Recorded) -> TestCase {
    let mut status = match run.standing() {
        Standing::Good => TestCaseStatus::success(),
        Standing::Bad => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Standing::Untold => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if run.standing() != Standing::Good {
        status.set_type(run.outcome()).set_message(run.reasons().join("; "));
        status.set_description(format!("{}\nrun again: {}", run.reasons().join("\n"), run.again()));
    }
    let mut case = TestCase::new(run.name(), status);
    case.set_classname(format!("seatrial.{}", run.run.subject));
    case.set_time(Duration::try_from_secs_f64(run.run.elapsed_ms / 1000.0).unwrap_or_default());
    case.set_system_out(format!("run {}: {}", run.run.id, run.run.reason));
    case
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
                <testcase name="kvstore-keys/skipped" classname="seatrial.standin" time="68.912">
                    <failure message="not found: L4 held; deny-tcp/cross-node/pod-ip had an outage that is policy" type="not as expected">not found: L4 held
        deny-tcp/cross-node/pod-ip had an outage that is policy
        run again: seatrial scenario run kvstore-keys --arm skipped</failure>
                    <system-out>run r4: deny-tcp/cross-node/pod-ip was answered 3 times: the policy had a hole of 40–80 ms</system-out>
                </testcase>
                <testcase name="1.5.13 → 1.6.12 → 1.5.13" classname="seatrial.standin" time="33.120">
                    <error message="the cluster did not come up: node2 was not Ready within 30 s" type="errored">the cluster did not come up: node2 was not Ready within 30 s
        run again: seatrial run 1.5.13 1.6.12 --rollback --nodes 2</error>
                    <system-out>run r3: the cluster did not come up: node2 was not Ready within 30 s</system-out>
                </testcase>
                <testcase name="1.5.13 → 1.6.12 → 1.5.13" classname="seatrial.standin" time="68.912">
                    <system-out>run r1: all 25 flows stayed inside the guide&apos;s words; HTTP clients had to reconnect, as documented</system-out>
                </testcase>
                <testcase name="kvstore-keys/skipped" classname="seatrial.standin" time="68.912">
                    <system-out>run r2: deny-tcp/cross-node/pod-ip was answered 3 times: the policy had a hole of 40–80 ms</system-out>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }
}
