//! Reports for GitHub Actions: a job summary and annotations.

use crate::printable;
use crate::run::{Flow, Outcome, Run, Verdict};
use crate::units;

/// Markdown for `GITHUB_STEP_SUMMARY`.
pub fn summary(run: &Run) -> String {
    let run = &run.printable();
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

/// Workflow commands for findings and failed steps, one on each line; none for a run that passed.
pub fn annotations(run: &Run) -> String {
    let run = &run.printable();
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
        worst.map(|outage| outage.duration()).unwrap_or_default(),
        worst.map(|outage| text(flow.class_of(outage))).unwrap_or_default(),
        worst.map(|outage| text(&outage.cause())).unwrap_or_default(),
    ];
    format!("| {} |", cells.join(" | "))
}

/// Escapes a text so that Markdown shows it as it is, on one line.
pub(crate) fn text(raw: &str) -> String {
    let raw = printable::line(raw);
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '_' | '~' | '[' | ']' | '#' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// A workflow command. The message may have several lines.
pub(crate) fn command(kind: &str, title: &str, message: &str) -> String {
    let escaped = |text: &str| printable::line(text).replace('%', "%25");
    let message: Vec<_> = message.lines().map(escaped).collect();
    let title = escaped(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{kind} title={title}::{}", message.join("%0A"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_failed_run() {
        let mut run = fixture::deny_leak();
        run.flows.retain(|flow| flow.kind == model::Kind::Deny);
        insta::assert_snapshot!(summary(&run) + &annotations(&run), @"
        ## standin 1.5.13 → 1.6.12 → 1.5.13: failed

        deny-tcp/cross-node/pod-ip was answered 3 times: denied traffic passed for 40–80 ms

        | flow | layer | lost | worst outage | class | cause |
        |---|---|--:|--:|---|---|
        | deny-tcp/cross-node/pod-ip | policy | 3 | 40–80 ms | leak | agent terminated on node2 |

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
        assert_eq!(text("a|b\n<img>`x`"), r"a\|b &lt;img&gt;\`x\`");
        assert_eq!(text("\u{1b}[31mred"), r"\\u{1b}\[31mred");
        assert_eq!(
            command("error", "a,b:c\n::stop", "x\n::stop"),
            "::error title=a%2Cb%3Ac %3A%3Astop::x%0A::stop"
        );
    }

    #[test]
    fn a_line_of_a_record_cannot_begin_a_command_or_a_heading() {
        let mut run = fixture::errored();
        run.reason = "x\n::error title=other::y\r# heading".into();
        run.steps[1].detail = Some("a\u{2028}::stop-commands::b\n# heading".into());
        let out = summary(&run) + &annotations(&run);
        let foreign =
            |line: &&str| line.contains("other::") || line.starts_with("# ") || line.starts_with("::stop");
        assert_eq!(
            out.lines().filter(foreign).filter(|line| line.starts_with([':', '#'])).count(),
            0,
            "{out}"
        );
    }
}
