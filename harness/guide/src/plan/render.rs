//! Plans as text and as Markdown. The JSON form is the plan itself.

use std::fmt::Write as _;

use super::{Plan, Stage, StageKind};
use crate::hazard::{Applies, Hazard};

/// Writes a plan as text: a table of stages, then each stage.
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let header = ["FROM", "TO", "DAEMONSET", "L3 IMPACT", "L7 IMPACT", "CONFIGMAP"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(plan.stages.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        put(&mut out, cells.join("  ").trim_end());
    }
    for note in &plan.notes {
        put(&mut out, &format!("note: {note}"));
    }
    for (index, stage) in plan.stages.iter().enumerate() {
        put(&mut out, "");
        put(
            &mut out,
            &format!("Stage {} of {}: {} to {}", index + 1, plan.stages.len(), stage.from, stage.to),
        );
        stage_text(&mut out, stage);
    }
    out
}

fn row(stage: &Stage) -> [String; 6] {
    let daemonset = if stage.daemonset_required { "required" } else { "image only" };
    let changes = match stage.config_changes.len() {
        0 => "-".to_owned(),
        1 => "1 required key".to_owned(),
        count => format!("{count} required keys"),
    };
    [
        stage.from.to_string(),
        stage.to.to_string(),
        daemonset.to_owned(),
        stage.l3.wording().to_owned(),
        stage.l7.wording().to_owned(),
        changes,
    ]
}

fn stage_text(out: &mut String, stage: &Stage) {
    if let Some(line) = kubernetes(stage) {
        put(out, &format!("  {line}"));
    }
    for (layer, budget) in budgets(stage) {
        put(out, &format!("  budget {layer}: {budget}"));
    }
    for change in &stage.config_changes {
        put(out, &format!("  set {}: {}", change.key, quoted(&change.value)));
        put(out, &format!("      {}", change.why));
    }
    for hazard in &stage.hazards {
        put(out, &format!("  {} {}: {}", applies(hazard), hazard.id, hazard.effect));
        put(out, &format!("      {}", hazard.remedy));
    }
    for step in &stage.steps {
        put(out, &format!("  {}", step.name));
        commands(out, &step.commands);
        if let Some(note) = &step.note {
            put(out, &format!("      note: {note}"));
        }
    }
    put(out, "  Roll back");
    commands(out, &stage.rollback.commands);
    for left in &stage.rollback.not_undone {
        put(out, &format!("      not reverted: {left}"));
    }
    for hazard in &stage.rollback.hazards {
        put(out, &format!("      {} {}: {}; {}", applies(hazard), hazard.id, hazard.effect, hazard.remedy));
    }
}

fn commands(out: &mut String, commands: &[String]) {
    for command in commands {
        put(out, &format!("    $ {command}"));
    }
}

/// Writes a plan as Markdown that can be pasted into a change request.
pub fn markdown(plan: &Plan) -> String {
    let mut out = String::new();
    put(&mut out, &format!("# Cilium {} to {}", plan.from, plan.to));
    put(&mut out, "");
    put(&mut out, "| from | to | DaemonSet | L3 impact | L7 impact | ConfigMap |");
    put(&mut out, "|---|---|---|---|---|---|");
    for stage in &plan.stages {
        put(&mut out, &format!("| {} |", row(stage).join(" | ")));
    }
    if !plan.notes.is_empty() {
        put(&mut out, "");
    }
    for note in &plan.notes {
        put(&mut out, &format!("> {note}"));
    }
    for (index, stage) in plan.stages.iter().enumerate() {
        put(&mut out, "");
        put(&mut out, &format!("## Stage {}: {} to {}", index + 1, stage.from, stage.to));
        stage_markdown(&mut out, stage);
    }
    out
}

fn stage_markdown(out: &mut String, stage: &Stage) {
    put(out, "");
    let how = match stage.kind {
        StageKind::Upgrade => "Upgrade",
        StageKind::Downgrade => "Downgrade",
        StageKind::Patch => "Patch release",
    };
    put(out, format!("{how}. {}", kubernetes(stage).unwrap_or_default()).trim_end());
    if stage.l3_budget.is_some() || stage.l7_budget.is_some() {
        put(out, "\nBudget of a measured run:\n");
    }
    for (layer, budget) in budgets(stage) {
        put(out, &format!("- {layer}: {budget}"));
    }
    if !stage.config_changes.is_empty() {
        put(out, "\nSet before the stage starts:\n");
        for change in &stage.config_changes {
            put(out, &format!("- `{}: {}`: {}", change.key, quoted(&change.value), change.why));
        }
    }
    if !stage.hazards.is_empty() {
        put(out, "\nHazards:\n");
        stage.hazards.iter().for_each(|hazard| put(out, &hazard_markdown(hazard)));
    }
    for step in &stage.steps {
        put(out, &format!("\n### {}\n", step.name));
        fenced(out, &step.commands);
        if let Some(note) = &step.note {
            put(out, &format!("\nNote: {note}."));
        }
    }
    put(out, "\n### Rollback\n");
    fenced(out, &stage.rollback.commands);
    if !stage.rollback.not_undone.is_empty() {
        put(out, "\nNot reverted:\n");
        stage.rollback.not_undone.iter().for_each(|left| put(out, &format!("- {left}")));
    }
    if !stage.rollback.hazards.is_empty() {
        put(out, "\nHazards of the rollback:\n");
        stage.rollback.hazards.iter().for_each(|hazard| put(out, &hazard_markdown(hazard)));
    }
}

fn hazard_markdown(hazard: &Hazard) -> String {
    format!(
        "- **{}** ({}): {}. {}. _{}_",
        hazard.id,
        applies(hazard),
        hazard.effect,
        hazard.remedy,
        hazard.source
    )
}

fn fenced(out: &mut String, commands: &[String]) {
    put(out, "```sh");
    commands.iter().for_each(|command| put(out, command));
    put(out, "```");
}

fn kubernetes(stage: &Stage) -> Option<String> {
    let range = stage.kubernetes.as_ref()?;
    let tested = format!("{} is tested with Kubernetes {} to {}", stage.to, range.from, range.to);
    Some(match stage.kubernetes_ok {
        Some(false) => format!("WARNING: {tested}; the cluster runs another version"),
        _ => tested,
    })
}

fn budgets(stage: &Stage) -> impl Iterator<Item = (&'static str, &String)> {
    [("L3", &stage.l3_budget), ("L7", &stage.l7_budget)]
        .into_iter()
        .filter_map(|(layer, budget)| Some((layer, budget.as_ref()?)))
}

fn applies(hazard: &Hazard) -> &'static str {
    match hazard.applies {
        Applies::Yes => "hazard",
        Applies::Possible => "possible hazard",
    }
}

/// Quotes a value as in a ConfigMap.
fn quoted(value: &str) -> String {
    if value.contains('"') { format!("'{value}'") } else { format!("\"{value}\"") }
}

/// Appends a line to a string, which cannot fail.
fn put(out: &mut String, line: &str) {
    writeln!(out, "{line}").unwrap_or_default();
}
