//! Several runs for GitHub Actions: a job summary, annotations, and texts for issues.

use super::{Recorded, Status, sorted, tally};
use crate::github::{command, text};
use crate::units;

/// Markdown for `GITHUB_STEP_SUMMARY`: a row for each run, then an issue text for each run that did not pass.
pub fn summary(runs: &[Recorded]) -> String {
    let runs_in_order = sorted(runs);
    let header = "| run | versions | outcome | why | took |\n|---|---|---|---|--:|";
    let rows = runs_in_order.iter().map(|run| {
        let why = if run.status() == Status::Passed { String::new() } else { run.reasons().join("; ") };
        let cells = [
            text(&run.name()),
            text(&run.run.versions()),
            text(&run.outcome()),
            text(&why),
            units::duration(run.run.elapsed_ms),
        ];
        format!("| {} |", cells.join(" | "))
    });
    let table = [header.to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join("\n");
    let mut out = vec![format!("## {}: {}", units::plural(runs.len(), "run"), tally(runs)), table];
    out.extend(runs_in_order.iter().filter(|run| run.status() != Status::Passed).map(issue));
    out.join("\n\n") + "\n"
}

/// Markdown for an issue: the outcome, its reasons, the environment, and the command that repeats the run.
fn issue(run: &Recorded) -> String {
    let facts = run.run.provider.facts.iter().map(|(name, value)| format!("{name} {value}"));
    let provider = &run.run.provider;
    let place =
        format!("{} {}, {}", provider.name, provider.kubernetes, units::plural(provider.nodes.len(), "node"));
    let environment = [place].into_iter().chain(facts).collect::<Vec<_>>().join(", ");
    let mut out = vec![
        format!("### {}: {}", text(&run.name()), text(&run.outcome())),
        run.reasons().into_iter().map(|reason| format!("- {}", text(reason))).collect::<Vec<_>>().join("\n"),
    ];
    if !run.run.findings.is_empty() {
        let findings = run.run.findings.iter().map(|finding| {
            let flow = finding.flow.as_ref().map_or(String::new(), |flow| format!(" in {}", text(flow)));
            format!("- {}{flow}: {} ({})", text(&finding.id), text(&finding.summary), text(&finding.evidence))
        });
        out.push(format!("Findings of the run:\n{}", findings.collect::<Vec<_>>().join("\n")));
    }
    out.push(format!(
        "| | |\n|---|---|\n| run | {} |\n| subject | {} {} |\n| environment | {} |\n| seatrial | {} |",
        text(&run.run.id),
        text(&run.run.subject),
        text(&run.run.versions()),
        text(&environment),
        text(&run.run.seatrial),
    ));
    out.push(format!("Repeat the run:\n\n    {}", run.command()));
    out.join("\n\n")
}

/// Workflow commands, one on each line: an error for a run that failed, a warning for one that was not judged.
pub fn annotations(runs: &[Recorded]) -> String {
    let line = |run: Recorded| {
        let kind = match run.status() {
            Status::Passed => return None,
            Status::Failed => "error",
            Status::NotJudged => "warning",
        };
        let message = format!("{}\n{}", run.reasons().join("\n"), run.command());
        Some(command(kind, &format!("{}: {}", run.name(), run.outcome()), &message) + "\n")
    };
    sorted(runs).into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::several;
    use super::*;

    #[test]
    fn the_worst_run_comes_first() {
        insta::assert_snapshot!(summary(&several()), @"
        ## 4 runs: 1 failed, 1 not judged, 2 passed

        | run | versions | outcome | why | took |
        |---|---|---|---|--:|
        | kvstore-keys/skipped | 1.5.13 → 1.6.12 → 1.5.13 | not as expected | not found: L4 held; deny-tcp/cross-node/pod-ip had an outage that is policy | 68.91 s |
        | 1.5.13 → 1.6.12 → 1.5.13 | 1.5.13 → 1.6.12 → 1.5.13 | errored | the cluster did not come up: node2 was not Ready within 30 s | 33.12 s |
        | 1.5.13 → 1.6.12 → 1.5.13 | 1.5.13 → 1.6.12 → 1.5.13 | passed |  | 68.91 s |
        | kvstore-keys/skipped | 1.5.13 → 1.6.12 → 1.5.13 | as expected |  | 68.91 s |

        ### kvstore-keys/skipped: not as expected

        - not found: L4 held
        - deny-tcp/cross-node/pod-ip had an outage that is policy

        Findings of the run:
        - F1 in deny-tcp/cross-node/pod-ip: traffic that the policy forbids was answered during the rollback (3 of 2,680 probes answered between 49.960 s and 50.000 s; the agent on node2 was away from 49.266 s to 50.180 s)

        | | |
        |---|---|
        | run | r4 |
        | subject | standin 1.5.13 → 1.6.12 → 1.5.13 |
        | environment | sandbox v1.34.4, 2 nodes, container runtime containerd 1.6.20, cpus 2, helm v3.17.1, kernel 6.1.0-28-amd64 |
        | seatrial | 0.1.0 |

        Repeat the run:

            seatrial scenario run kvstore-keys --arm skipped

        ### 1.5.13 → 1.6.12 → 1.5.13: errored

        - the cluster did not come up: node2 was not Ready within 30 s

        | | |
        |---|---|
        | run | r3 |
        | subject | standin 1.5.13 → 1.6.12 → 1.5.13 |
        | environment | sandbox v1.34.4, 2 nodes, container runtime containerd 1.6.20, cpus 2, helm v3.17.1, kernel 6.1.0-28-amd64 |
        | seatrial | 0.1.0 |

        Repeat the run:

            seatrial run 1.5.13 1.6.12 --rollback --nodes 2
        ");
    }

    #[test]
    fn a_run_that_passed_has_no_annotation() {
        insta::assert_snapshot!(annotations(&several()), @"
        ::error title=kvstore-keys/skipped%3A not as expected::not found: L4 held%0Adeny-tcp/cross-node/pod-ip had an outage that is policy%0Aseatrial scenario run kvstore-keys --arm skipped
        ::warning title=1.5.13 → 1.6.12 → 1.5.13%3A errored::the cluster did not come up: node2 was not Ready within 30 s%0Aseatrial run 1.5.13 1.6.12 --rollback --nodes 2
        ");
    }
}
