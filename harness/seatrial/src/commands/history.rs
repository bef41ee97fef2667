//! `seatrial history`: the runs that a folder holds, newest first.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use report::Layout;
use report::collection::{Recorded, folders, table};
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
        Output::Table => write!(out, "{}", table::render(&runs, &Layout::stdout()))?,
        Output::Json => writeln!(out, "{}", json(&runs)?)?,
    }
    Ok(if runs.is_empty() { exit::SKIPPED } else { exit::PASSED })
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
                "again": run.command(),
            })
        })
        .collect();
    serde_json::to_string_pretty(&json!({"schema": "seatrial/history/v1", "runs": rows}))
}
