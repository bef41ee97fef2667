//! For GitHub Actions: a job summary and annotations.

use crate::run::{Flow, Outcome, Run, Verdict};
use crate::units;

/// Markdown for `GITHUB_STEP_SUMMARY`.
pub fn summary(run: &Run) -> String {
    let mut out = vec![
        format!("## {} {}: {}", text(&run.subject), text(&run.versions()), run.verdict),
        text(&run.reason),
    ];
    out.extend(failed_steps(run).map(|(title, detail)| format!("**{}**: {}", text(&title), text(detail))));
    let disturbed: Vec<&Flow> = run.flows.iter().filter(|flow| !flow.is_clean()).collect();
    if !disturbed.is_empty() {
        let header = "| flow | layer | lost | worst outage | class | cause |\n|---|---|--:|--:|---|---|";
        let rows = disturbed.iter().map(|flow| row(flow));
        out.push([header.to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join("\n"));
    }
    let clean = run.flows.len() - disturbed.len();
    if clean > 0 {
        out.push(format!("{} without loss.", units::plural(clean, "flow")));
    }
    out.extend(run.findings.iter().map(|finding| {
        format!("**{}** {}  \n{}", text(&finding.id), text(&finding.summary), text(&finding.evidence))
    }));
    out.join("\n\n") + "\n"
}

/// Workflow commands that mark findings and failed steps, one a line; empty for a run that passed.
pub fn annotations(run: &Run) -> String {
    let mut lines: Vec<String> = run
        .findings
        .iter()
        .map(|finding| {
            command("error", &finding.summary, &format!("{}\n{}", finding.evidence, finding.reproduce))
        })
        .collect();
    lines.extend(failed_steps(run).map(|(title, detail)| command("error", &title, detail)));
    if lines.is_empty() && run.verdict != Verdict::Passed {
        lines.push(command("warning", &format!("run {}", run.verdict), &run.reason));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn failed_steps(run: &Run) -> impl Iterator<Item = (String, &str)> {
    run.steps.iter().filter(|step| step.outcome == Outcome::Failed).map(|step| {
        (format!("step {} failed", step.name), step.detail.as_deref().unwrap_or("no reason was recorded"))
    })
}

fn row(flow: &Flow) -> String {
    let worst = flow.worst();
    let cells = [
        text(&flow.id),
        flow.layer.to_string(),
        units::count(flow.bad()),
        worst.map(|outage| outage.length()).unwrap_or_default(),
        worst.map(|outage| text(flow.class_of(outage))).unwrap_or_default(),
        worst.map(|outage| text(&outage.cause())).unwrap_or_default(),
    ];
    format!("| {} |", cells.join(" | "))
}

/// Text that Markdown shows as it is, on one line.
pub(crate) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

pub(crate) fn command(kind: &str, title: &str, message: &str) -> String {
    let message = message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let title = title.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    format!("::{kind} title={}::{message}", title.replace(':', "%3A").replace(',', "%2C"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_failed_run() {
        let mut run = fixture::deny_hole();
        run.flows.retain(|flow| flow.kind == "deny");
        insta::assert_snapshot!(summary(&run) + &annotations(&run), @"
        ## standin 1.5.13 → 1.6.12 → 1.5.13: failed

        deny-tcp/cross-node/pod-ip was answered 3 times: the policy had a hole of 40–80 ms

        | flow | layer | lost | worst outage | class | cause |
        |---|---|--:|--:|---|---|
        | deny-tcp/cross-node/pod-ip | policy | 3 | 40–80 ms | hole | agent terminated on node2 |

        1 flow without loss.

        **F1** traffic that the policy forbids was answered during the rollback  
        3 of 2,680 probes answered between 49.960 s and 50.000 s; the agent on node2 was away from 49.266 s to 50.180 s
        ::error title=traffic that the policy forbids was answered during the rollback::3 of 2,680 probes answered between 49.960 s and 50.000 s; the agent on node2 was away from 49.266 s to 50.180 s%0Aseatrial run 1.5.13 1.6.12 --rollback --subject standin --nodes 2
        ");
    }

    #[test]
    fn an_errored_run() {
        let run = fixture::errored();
        insta::assert_snapshot!(summary(&run) + &annotations(&run), @r#"
        ## standin 1.5.13 → 1.6.12 → 1.5.13: errored

        the cluster did not come up: node2 was not Ready within 30 s

        **step cluster up failed**: node2: kubelet exited with 1, last line: "failed to run Kubelet: no cpuset controller"
        ::error title=step cluster up failed::node2: kubelet exited with 1, last line: "failed to run Kubelet: no cpuset controller"
        "#);
    }

    #[test]
    fn a_passed_run_has_no_annotation() {
        assert_eq!(annotations(&fixture::clean()), "");
    }

    #[test]
    fn text_cannot_become_markup_or_another_command() {
        assert_eq!(text("a|b\n<img>`x`"), r"a\|b &lt;img>\`x\`");
        assert_eq!(command("error", "a,b:c", "x\n::stop"), "::error title=a%2Cb%3Ac::x%0A::stop");
    }
}
