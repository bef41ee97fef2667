//! The outcome of an arm, the file that keeps it with the record, and the index of several.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use report::collection::{Recorded, html};
use report::folder::RunFolder;
use report::run::Verdict;
use report::trial::{SCHEMA, Trial, TrialOutcome};

use crate::steps::Arm;

/// The outcome of an arm.
pub(super) enum Outcome {
    AsExpected,
    /// Expectations that are not met.
    Wrong(Vec<String>),
    /// The run says nothing about the subject.
    Unjudged(Verdict, String),
}

/// Writes `trial.json` into the folder of the run.
pub(super) fn outcome(folder: &Path, scenario: &str, arm: Arm, outcome: &Outcome) -> anyhow::Result<()> {
    let (compared, wrong) = match outcome {
        Outcome::AsExpected => (TrialOutcome::AsExpected, Vec::new()),
        Outcome::Wrong(wrong) => (TrialOutcome::NotAsExpected, wrong.clone()),
        Outcome::Unjudged(verdict, reason) => (TrialOutcome::NotJudged, vec![format!("{verdict}: {reason}")]),
    };
    let trial = Trial {
        schema: SCHEMA.to_owned(),
        scenario: scenario.to_owned(),
        arm: arm.to_string(),
        outcome: compared,
        wrong,
    };
    Ok(trial.save(&RunFolder::open(folder)?)?)
}

/// Writes `index.html` into `out` for the runs in `folders`, where there are several.
pub(super) fn index(out: &Path, folders: &[PathBuf]) -> anyhow::Result<Option<PathBuf>> {
    if folders.len() < 2 {
        return Ok(None);
    }
    let runs = folders.iter().map(|folder| Recorded::load(folder)).collect::<Result<Vec<_>, _>>()?;
    let path = out.join("index.html");
    std::fs::write(&path, html::render(&runs, out)?)
        .with_context(|| format!("{} could not be written", path.display()))?;
    Ok(Some(path))
}
