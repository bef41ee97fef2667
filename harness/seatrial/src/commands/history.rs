//! `seatrial history`: the runs that a folder holds, newest first.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use report::collection::{Recorded, folders, tally};
use report::units;
use serde_json::json;

use engine::exit::{self, Usage};

/// Arguments of `history`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Folder of run folders.
    #[arg(default_value = "runs")]
    folder: PathBuf,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// How to print the runs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Text for people.
    Table,
    /// Schema seatrial/history/v1.
    Json,
}

/// Runs the command; what cannot be read is named, and the rest is listed all the same.
pub(crate) fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    let folders = folders(&args.folder).map_err(|_| {
        let folder = args.folder.display();
        Usage(format!("{folder} holds no runs: name the folder that `seatrial run --out` was given"))
    })?;
    let mut runs = Vec::new();
    for folder in folders {
        match Recorded::load(&folder) {
            Ok(run) => runs.push(run),
            Err(e) => writeln!(err, "left out: {}", engine::errors::line(&e.into()))?,
        }
    }
    runs.sort_by(|a, b| (&b.run.started, &b.run.id).cmp(&(&a.run.started, &a.run.id)));
    match args.output {
        Output::Table => write!(out, "{}", table(&runs))?,
        Output::Json => writeln!(out, "{}", json(&runs)?)?,
    }
    Ok(if runs.is_empty() { exit::SKIPPED } else { exit::PASSED })
}

/// A row a run, in the order that they are given.
pub(super) fn table(runs: &[Recorded]) -> String {
    let cells: Vec<[String; 5]> = runs
        .iter()
        .map(|run| {
            let took = units::duration(run.run.elapsed_ms);
            [run.run.id.clone(), run.outcome(), took, run.name(), run.reasons().join("; ")]
        })
        .collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3)];
    let mut lines: Vec<_> = cells
        .iter()
        .map(|[id, outcome, took, name, why]| {
            let [a, b, c, d] = widths;
            format!("{id:a$}  {outcome:b$}  {took:>c$}  {name:d$}  {why}").trim_end().to_owned()
        })
        .collect();
    lines.push(format!("{}: {}", units::plural(runs.len(), "run"), tally(runs)));
    lines.join("\n") + "\n"
}

fn json(runs: &[Recorded]) -> serde_json::Result<String> {
    let rows: Vec<_> = runs
        .iter()
        .map(|run| {
            json!({
                "id": run.run.id,
                "folder": run.folder,
                "started": run.run.started,
                "elapsed_ms": run.run.elapsed_ms,
                "subject": run.run.subject,
                "provider": run.run.provider.name,
                "versions": run.run.versions(),
                "verdict": run.run.verdict,
                "reason": run.run.reason,
                "trial": run.trial,
                "again": run.again(),
            })
        })
        .collect();
    serde_json::to_string_pretty(&json!({"schema": "seatrial/history/v1", "runs": rows}))
}
