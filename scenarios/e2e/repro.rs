//! What a run leaves behind is enough to run it again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libtest_mimic::Failed;
use report::run::Verdict;
use report::trial::{Trial, TrialOutcome};

use crate::command::{record, run, seatrial};

fn shell(line: &str) -> std::process::Command {
    #[expect(clippy::disallowed_methods, reason = "a bundle is run by a shell")]
    let mut command = std::process::Command::new("sh");
    command.args(["-c", line]).env("SEATRIAL", env!("CARGO_BIN_EXE_seatrial"));
    command
}

fn only_folder(out: &Path) -> Result<PathBuf, Failed> {
    let mut folders = std::fs::read_dir(out)?.flatten().filter(|entry| entry.path().is_dir());
    Ok(folders.next().ok_or("no run folder")?.path())
}

/// The flows with findings, without the numbers that differ between runs.
fn outcome(folder: &Path) -> Result<(Verdict, TrialOutcome, BTreeSet<Option<String>>), Failed> {
    let (run, trial) = (record(folder)?, std::fs::read(folder.join("trial.json"))?);
    let trial: Trial = serde_json::from_slice(&trial)?;
    let flows = run.findings.into_iter().map(|finding| finding.flow).collect();
    Ok((run.verdict, trial.outcome, flows))
}

/// The bundle of an arm that fails is unpacked elsewhere, run by its one command, and fails in the same way.
pub(crate) fn same_outcome() -> Result<(), Failed> {
    let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut command =
        seatrial(&["scenario", "run", "kvstore-keys", "--arm", "skipped", "--subject", "standin", "--out"]);
    run(command.arg(first.path()))?.expect_code(0)?;
    let recorded = only_folder(first.path())?;
    let archive = second.path().join("bundle.tar.gz");
    let mut repro = seatrial(&["repro"]);
    run(repro.arg(&recorded).arg("--out").arg(&archive))?.expect_code(0)?.expect_words(&["repro.sh"])?;

    let line = format!("tar -xzf {} && sh repro-*/repro.sh --out runs", archive.display());
    run(shell(&line).current_dir(second.path()))?
        .expect_code(0)?
        .expect_words(&["scenario kvstore-keys/skipped: as expected"])?;
    let (before, after) = (outcome(&recorded)?, outcome(&only_folder(&second.path().join("runs"))?)?);
    if before == after { Ok(()) } else { Err(format!("{before:?} before, {after:?} after").into()) }
}
