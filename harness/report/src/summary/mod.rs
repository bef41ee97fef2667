//! The end of a run on stdout: first the verdict, then the loss of each flow, then the findings and budgets.

mod flows;

use console::{Color, Style};

use crate::incidents;
use crate::layout::Layout;
use crate::run::{Budget, Outcome, Run, Verdict};
use crate::units;

/// The most incidents, and the most findings, that are listed.
const MOST_LISTED: usize = 20;

/// Renders the summary of a run, ending in a newline.
pub fn render(run: &Run, layout: &Layout<'_>) -> String {
    let run = &run.printable();
    let mut out = vec![heading(run, layout)];
    out.extend(failed_steps(run, layout));
    out.extend(incidents(run, layout));
    out.extend(flows::table(&run.flows, layout));
    out.extend(findings(run, layout));
    out.extend(budgets(run, layout));
    let mut end = vec![layout.paragraph("noise: ", 2, &noise(run))];
    let shortage = shortage(run.noise.stolen_ms, run.noise.cpu_pressure);
    end.extend(shortage.map(|shortage| layout.paragraph("machine: ", 2, &shortage)));
    end.extend(layout.report.map(|path| format!("report: {}", path.display())));
    out.push(end.join("\n"));
    out.join("\n\n") + "\n"
}

fn styled(text: &str, style: Style, layout: &Layout<'_>) -> String {
    style.force_styling(layout.colour).apply_to(text).to_string()
}

fn heading(run: &Run, layout: &Layout<'_>) -> String {
    let (mark, colour) = match run.verdict {
        Verdict::Passed => ("✓", Color::Green),
        Verdict::Failed => ("✗", Color::Red),
        Verdict::Errored => ("!", Color::Magenta),
        Verdict::Skipped => ("–", Color::Cyan),
        Verdict::Noisy => ("~", Color::Yellow),
        Verdict::Interrupted => ("■", Color::Yellow),
    };
    let verdict = styled(&format!("{mark} {}", run.verdict), Style::new().fg(colour).bold(), layout);
    let provider = &run.provider;
    let what = format!(
        "{} {} on {} ({}, {}), {}",
        run.subject,
        run.versions(),
        provider.name,
        if provider.kubernetes.is_empty() { "no cluster" } else { &provider.kubernetes },
        units::plural(provider.nodes.len(), "node"),
        units::duration(run.elapsed_ms)
    );
    let reason = layout.paragraph(&format!("{verdict}: "), 2, &run.reason);
    format!("{reason}\n{}", layout.paragraph("  ", 2, &what))
}

fn failed_steps(run: &Run, layout: &Layout<'_>) -> Option<String> {
    let lines: Vec<String> = run
        .steps
        .iter()
        .filter(|step| step.outcome != Outcome::Done)
        .map(|step| {
            let after = units::duration(step.ended_ms - step.started_ms);
            let detail = step.detail.as_deref().unwrap_or("no reason was recorded");
            let text = format!("step {:?} {} after {after}: {detail}", step.name, step.outcome);
            layout.paragraph("", 2, &text)
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The incidents with findings; outages inside the budgets are in the table alone.
fn incidents(run: &Run, layout: &Layout<'_>) -> Option<String> {
    let incidents = incidents::with_findings(run);
    let listed = incidents.iter().take(MOST_LISTED);
    let lines =
        listed.map(|incident| layout.paragraph(&format!("  {} ", incident.id), 5, &incident.headline()));
    let lines: Vec<_> =
        ["incidents".to_owned()].into_iter().chain(lines).chain(more(incidents.len())).collect();
    (!incidents.is_empty()).then(|| lines.join("\n"))
}

fn more(number: usize) -> Option<String> {
    let more = number.checked_sub(MOST_LISTED).filter(|more| *more > 0)?;
    Some(format!("  and {} more, in run.json and report.html", units::count(more as u64)))
}

/// The findings; evidence and command that consecutive findings share are shown once, after the last of them.
fn findings(run: &Run, layout: &Layout<'_>) -> Option<String> {
    let mut lines = vec!["findings".to_owned()];
    let listed = &run.findings[..run.findings.len().min(MOST_LISTED)];
    let following = listed.iter().skip(1).map(Some).chain([None]);
    for (finding, next) in listed.iter().zip(following) {
        let hazard = finding.hazard.as_ref().map(|hazard| format!(" ({hazard})")).unwrap_or_default();
        let summary = format!("{}{hazard}", finding.summary);
        lines.push(layout.paragraph(&format!("  {} ", finding.id), 5, &summary));
        if next.is_none_or(|next| next.evidence != finding.evidence) {
            lines.push(layout.paragraph("     ", 5, &finding.evidence));
        }
        if next.is_none_or(|next| next.reproduce != finding.reproduce) {
            // A command stays on one line, to be copied.
            lines.push(format!("     reproduce: {}", finding.reproduce));
        }
    }
    lines.extend(more(run.findings.len()));
    (!run.findings.is_empty()).then(|| lines.join("\n"))
}

fn budgets(run: &Run, layout: &Layout<'_>) -> Option<String> {
    let line = |budget: &Budget| {
        let (mark, style) = match budget.kept {
            Some(true) => ("✓", Style::new().green()),
            Some(false) => ("✗", Style::new().red()),
            None => ("–", Style::new()),
        };
        let impact = if budget.words.is_empty() { String::new() } else { format!(" ({:?})", budget.words) };
        let text = format!("{}{impact}: {}", budget.name, budget.measured);
        layout.paragraph(&format!("  {} ", styled(mark, style, layout)), 4, &text)
    };
    let lines: Vec<_> = ["budgets".to_owned()].into_iter().chain(run.budgets.iter().map(line)).collect();
    (!run.budgets.is_empty()).then(|| lines.join("\n"))
}

fn noise(run: &Run) -> String {
    let noise = &run.noise;
    if run.flows.is_empty() {
        return "not measured, no traffic was sent".to_owned();
    }
    let canary = if noise.canary_clean {
        "canary clean".to_owned()
    } else {
        format!("canary lost {}", units::count(noise.canary_lost))
    };
    let late = |us: f64| units::duration(us / 1000.0);
    format!(
        "{canary}; probes sent late by {} (median), {} (p99), {} (worst)",
        late(noise.lateness_p50_us),
        late(noise.lateness_p99_us),
        late(noise.lateness_max_us)
    )
}

/// Describes the shortage of CPU time, from stolen milliseconds and a share of the time; none where neither is known.
#[must_use]
pub fn shortage(stolen_ms: Option<f64>, pressure: Option<f64>) -> Option<String> {
    let stolen = stolen_ms.map(|ms| format!("CPU time stolen by the host {}", units::duration(ms)));
    let pressure = pressure.map(|part| format!("CPU pressure {:.0} %", part * 100.0));
    let parts: Vec<_> = stolen.into_iter().chain(pressure).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests;
