//! The end of a run on stdout: the verdict first, then what each flow lost, then where to read more.

use std::collections::BTreeMap;
use std::path::Path;

use comfy_table::{
    Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, presets,
};
use console::Style;

use crate::run::{Flow, Layer, Outage, Outcome, Run, Verdict};
use crate::units;

/// How a summary is laid out.
#[derive(Clone, Debug)]
pub struct Layout<'a> {
    /// Columns of the terminal.
    pub width: u16,
    /// Whether to colour.
    pub colour: bool,
    /// Whether to list flows that lost nothing one by one.
    pub verbose: bool,
    /// The report to point to, when there is one.
    pub report: Option<&'a Path>,
}

/// Renders the summary of a run, ending in a newline.
pub fn render(run: &Run, layout: &Layout<'_>) -> String {
    let mut out = vec![heading(run, layout.colour)];
    out.extend(failed_steps(run));
    let judged: Vec<&Flow> = run.flows.iter().filter(|flow| flow.layer != Layer::Canary).collect();
    if !judged.is_empty() {
        out.push(table(&judged, layout));
    }
    out.extend(findings(run));
    out.extend(budgets(run, layout));
    let mut end = vec![noise(run)];
    end.extend(machine(run));
    end.extend(layout.report.map(|path| format!("report: {}", path.display())));
    out.push(end.join("\n"));
    out.join("\n\n") + "\n"
}

fn heading(run: &Run, colour: bool) -> String {
    let (mark, style) = match run.verdict {
        Verdict::Passed => ("✓", Style::new().green()),
        Verdict::Failed => ("✗", Style::new().red()),
        Verdict::Errored => ("!", Style::new().magenta()),
        Verdict::Skipped => ("–", Style::new().cyan()),
        Verdict::Noisy => ("~", Style::new().yellow()),
        Verdict::Interrupted => ("■", Style::new().yellow()),
    };
    let verdict = style.bold().force_styling(colour).apply_to(format!("{mark} {}", run.verdict));
    let provider = &run.provider;
    format!(
        "{verdict}: {}\n  {} {} on {} ({}, {}), {}",
        run.reason,
        run.subject,
        run.versions(),
        provider.name,
        if provider.kubernetes.is_empty() { "no cluster" } else { &provider.kubernetes },
        units::plural(provider.nodes.len(), "node"),
        units::duration(run.elapsed_ms)
    )
}

fn failed_steps(run: &Run) -> Option<String> {
    let lines: Vec<String> = run
        .steps
        .iter()
        .filter(|step| matches!(step.outcome, Outcome::Failed | Outcome::Interrupted))
        .map(|step| {
            let after = units::duration(step.ended_ms - step.started_ms);
            let detail = step.detail.as_deref().unwrap_or("no reason was recorded");
            format!("step {:?} {} after {after}: {detail}", step.name, step.outcome)
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Column titles, whether numbers stand in it, and the least terminal width at which it is shown.
const COLUMNS: [(&str, bool, u16); 7] = [
    ("flow", false, 0),
    ("path", false, 150),
    ("layer", false, 90),
    ("sent", true, 110),
    ("lost", true, 0),
    ("worst outage", false, 0),
    ("cause", false, 80),
];

fn table(flows: &[&Flow], layout: &Layout<'_>) -> String {
    let mut table = plain_table(layout);
    table
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')))
        .set_header(COLUMNS.map(|(title, ..)| title));
    let (folded, listed): (Vec<&Flow>, Vec<&Flow>) =
        flows.iter().copied().partition(|flow| flow.is_clean() && !layout.verbose);
    for flow in listed {
        table.add_row(row(flow));
    }
    let mut layers: BTreeMap<Layer, Vec<&Flow>> = BTreeMap::new();
    for flow in folded {
        layers.entry(flow.layer).or_default().push(flow);
    }
    for (layer, flows) in layers {
        table.add_row(folded_row(layer, &flows));
    }
    for (column, (_, number, least)) in table.column_iter_mut().zip(COLUMNS) {
        column.set_padding((0, 2));
        if number {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if layout.width < least {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
    table.trim_fmt()
}

pub(crate) fn plain_table(layout: &Layout<'_>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(layout.width)
        .force_no_tty();
    if layout.colour {
        table.enforce_styling();
    }
    table
}

fn row(flow: &Flow) -> Vec<Cell> {
    let colour = match flow.is_clean() {
        true => Color::Green,
        false if flow.is_deny() || flow.sent == 0 => Color::Red,
        false => Color::Yellow,
    };
    let worst = flow.worst();
    let outage = match (worst, flow.sent) {
        (_, 0) => "no probe was sent".to_owned(),
        (Some(outage), _) => format!("{} {}", flow.class_of(outage), outage.length()),
        (None, _) => String::new(),
    };
    vec![
        Cell::new(&flow.id).set_delimiter('/'),
        Cell::new(&flow.path),
        Cell::new(flow.layer),
        Cell::new(units::count(flow.sent)),
        Cell::new(units::count(flow.bad())).fg(colour),
        Cell::new(outage),
        Cell::new(worst.map(Outage::cause).unwrap_or_default()),
    ]
}

fn folded_row(layer: Layer, flows: &[&Flow]) -> Vec<Cell> {
    let sent = flows.iter().map(|flow| flow.sent).sum();
    vec![
        Cell::new(units::plural(flows.len(), "flow")),
        Cell::new(""),
        Cell::new(layer),
        Cell::new(units::count(sent)),
        Cell::new("0").fg(Color::Green),
        Cell::new(if layer == Layer::Policy { "nothing got through" } else { "nothing lost" }),
    ]
}

/// The findings; what several in a row have in common is said once, after the last of them.
fn findings(run: &Run) -> Option<String> {
    let mut lines = vec!["findings".to_owned()];
    let following = run.findings.iter().skip(1).map(Some).chain([None]);
    for (finding, next) in run.findings.iter().zip(following) {
        let hazard = finding.hazard.as_ref().map(|hazard| format!(" ({hazard})")).unwrap_or_default();
        lines.push(format!("  {} {}{hazard}", finding.id, finding.summary));
        if next.is_none_or(|next| next.evidence != finding.evidence) {
            lines.push(format!("     {}", finding.evidence));
        }
        if next.is_none_or(|next| next.reproduce != finding.reproduce) {
            lines.push(format!("     again: {}", finding.reproduce));
        }
    }
    (!run.findings.is_empty()).then(|| lines.join("\n"))
}

fn budgets(run: &Run, layout: &Layout<'_>) -> Option<String> {
    let mut table = plain_table(layout);
    for budget in &run.budgets {
        let (mark, colour) = match budget.kept {
            Some(true) => ("✓", Color::Green),
            Some(false) => ("✗", Color::Red),
            None => ("–", Color::Reset),
        };
        let words = if budget.words.is_empty() { String::new() } else { format!("{:?}", budget.words) };
        let cells = [Cell::new(&budget.name), Cell::new(words), Cell::new(&budget.measured)];
        table.add_row([Cell::new(mark).fg(colour)].into_iter().chain(cells));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    (!run.budgets.is_empty()).then(|| format!("budgets\n{}", table.trim_fmt()))
}

fn noise(run: &Run) -> String {
    let noise = &run.noise;
    if run.flows.is_empty() {
        return "noise: not measured, no traffic was sent".to_owned();
    }
    let canary = if noise.canary_clean {
        "canary clean".to_owned()
    } else {
        format!("canary lost {}", units::count(noise.canary_lost))
    };
    let late = |us: f64| units::duration(us / 1000.0);
    format!(
        "noise: {canary}; probes sent late by {} (median), {} (p99), {} (worst)",
        late(noise.lateness_p50_us),
        late(noise.lateness_p99_us),
        late(noise.lateness_max_us)
    )
}

fn machine(run: &Run) -> Option<String> {
    let shortage = shortage(run.noise.stolen_ms, run.noise.cpu_pressure)?;
    Some(format!("machine: {shortage}"))
}

/// What the processors were short of, from ms and a part of the time; nothing where that is not known.
#[must_use]
pub fn shortage(stolen_ms: Option<f64>, pressure: Option<f64>) -> Option<String> {
    let stolen = stolen_ms.map(|ms| format!("the host took {} from the processors", units::duration(ms)));
    let pressure = pressure.map(|part| format!("CPU pressure {:.0} %", part * 100.0));
    let parts: Vec<_> = stolen.into_iter().chain(pressure).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::run::Finding;
    use rstest::rstest;

    const WIDE: Layout<'_> = Layout { width: 100, colour: false, verbose: false, report: None };

    #[test]
    fn a_passed_run_shows_what_lost_something_and_folds_the_rest() {
        insta::assert_snapshot!(render(&fixture::clean(), &WIDE), @r#"
        ✓ passed: all 25 flows stayed inside the guide's words; HTTP clients had to reconnect, as documented
          standin 1.5.13 → 1.6.12 → 1.5.13 on sandbox (v1.34.4, 2 nodes), 68.91 s

        flow                               layer    lost   worst outage          cause
        ────────────────────────────────────────────────────────────────────────────────────────────────────
        packet-udp/cross-node/cluster-ip   L3          2   lost 0–20 ms          agent started on node1
        held-http/cross-node/pod-ip        L7        153   reset 1.53–1.57 s     agent terminated on node2
        held-http/same-node/pod-ip         L7        129   reset 1.33–1.37 s     agent terminated on node1
        held-http/cross-node/cluster-ip    L7        153   reset 1.53–1.57 s     agent terminated on node2
        new-http/cross-node/pod-ip         L7        153   refused 1.54–1.58 s   agent terminated on node2
        new-http/same-node/pod-ip          L7        130   refused 1.34–1.38 s   agent terminated on node1
        new-http/cross-node/cluster-ip     L7        153   refused 1.54–1.58 s   agent terminated on node2
        4 flows                            L3          0   nothing lost
        10 flows                           L4          0   nothing lost
        2 flows                            policy      0   nothing got through

        budgets
        ✓  L3, upgrade 1.5.13 → 1.6.12   "Minimal to None"         worst 0–20 ms in 1 of 5 flows
        ✓  L4, upgrade 1.5.13 → 1.6.12   "Minimal to None"         nothing lost in 10 flows
        ✓  L7, upgrade 1.5.13 → 1.6.12   "Clients must reconnect"  held cut once per restart; new worked 0
                                                                   ms after ready
        ✓  policy                                                  no answer in 2 flows
        –  L7, rollback 1.6.12 → 1.5.13  "N/A"                     held cut once per restart; new refused
                                                                   for 1.13–1.55 s

        noise: canary clean; probes sent late by 0.06 ms (median), 0.21 ms (p99), 1.9 ms (worst)
        machine: the host took 40 ms from the processors; CPU pressure 18 %
        "#);
    }

    #[test]
    fn a_failed_run_names_its_finding() {
        let mut run = fixture::deny_hole();
        run.flows.retain(Flow::is_deny);
        run.budgets.retain(|budget| budget.kept == Some(false));
        insta::assert_snapshot!(render(&run, &WIDE), @"
        ✗ failed: deny-tcp/cross-node/pod-ip was answered 3 times: the policy had a hole of 40–80 ms
          standin 1.5.13 → 1.6.12 → 1.5.13 on sandbox (v1.34.4, 2 nodes), 68.91 s

        flow                         layer    lost   worst outage          cause
        ──────────────────────────────────────────────────────────────────────────────────────────────
        deny-tcp/cross-node/pod-ip   policy      3   hole 40–80 ms         agent terminated on node2
        1 flow                       policy      0   nothing got through

        findings
          F1 traffic that the policy forbids was answered during the rollback (policy-gap-on-restart)
             3 of 2,680 probes answered between 49.960 s and 50.000 s; the agent on node2 was away from 49.266 s to 50.180 s
             again: seatrial run 1.5.13 1.6.12 --rollback --subject standin --nodes 2

        budgets
        ✗  policy     3 answers in 1 flow, hole of 40–80 ms

        noise: canary clean; probes sent late by 0.06 ms (median), 0.21 ms (p99), 1.9 ms (worst)
        machine: the host took 40 ms from the processors; CPU pressure 18 %
        ");
    }

    #[test]
    fn what_findings_have_in_common_is_said_once() {
        let mut run = fixture::deny_hole();
        let first = run.findings[0].clone();
        run.findings.push(Finding { id: "F2".into(), ..first.clone() });
        let said = |run: &Run, words: &str| render(run, &WIDE).matches(words).count();
        assert_eq!([&first.summary, &first.evidence, "again:"].map(|words| said(&run, words)), [2, 1, 1]);
        run.findings[1].evidence = "another".to_owned();
        assert_eq!([&first.evidence, "another", "again:"].map(|words| said(&run, words)), [1, 1, 1]);
    }

    #[test]
    fn an_errored_run_says_which_step_failed() {
        let layout = Layout { report: Some(Path::new("runs/r1/report.html")), ..WIDE };
        insta::assert_snapshot!(render(&fixture::errored(), &layout), @r#"
        ! errored: the cluster did not come up: node2 was not Ready within 30 s
          standin 1.5.13 → 1.6.12 → 1.5.13 on sandbox (v1.34.4, 2 nodes), 33.12 s

        step "cluster up" failed after 32.24 s: node2: kubelet exited with 1, last line: "failed to run Kubelet: no cpuset controller"

        noise: not measured, no traffic was sent
        report: runs/r1/report.html
        "#);
    }

    #[rstest]
    #[case::hundred(100)]
    #[case::eighty(80)]
    #[case::sixty(60)]
    #[case::forty(40)]
    fn the_table_fits(#[case] width: u16) {
        let run = fixture::deny_hole();
        let flows: Vec<&Flow> = run.flows.iter().collect();
        let table = table(&flows, &Layout { width, ..WIDE });
        for line in table.lines() {
            assert!(console::measure_text_width(line) <= usize::from(width), "{line}");
        }
        assert!(table.contains("hole"));
    }

    #[test]
    fn verbose_lists_every_flow() {
        let run = fixture::clean();
        let text = render(&run, &Layout { verbose: true, width: 200, ..WIDE });
        for flow in run.flows.iter().filter(|flow| flow.layer != Layer::Canary) {
            assert!(text.contains(&flow.id), "{} is missing", flow.id);
        }
    }

    #[test]
    fn colour_is_only_where_it_was_asked_for() {
        assert!(render(&fixture::clean(), &Layout { colour: true, ..WIDE }).contains("\u{1b}[32m"));
        assert!(!render(&fixture::clean(), &WIDE).contains('\u{1b}'));
    }

    #[test]
    fn a_flow_without_samples_is_never_folded_as_clean() {
        let mut run = fixture::clean();
        run.flows[1].sent = 0;
        assert!(render(&run, &WIDE).contains("no probe was sent"));
    }
}
