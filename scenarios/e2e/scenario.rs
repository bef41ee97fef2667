//! The scenarios that are compiled in, one test an arm.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use engine::scenario::{JudgeOptions, Summary, judge};
use engine::steps::Arm;
use libtest_mimic::Failed;
use report::run::Run;

use crate::census;
use crate::command::{record, run, seatrial};

/// Records of arms that were run in a sandbox, by name and arm.
static RECORDS: Mutex<BTreeMap<String, Run>> = Mutex::new(BTreeMap::new());

/// Name and arm of each, in order.
pub(crate) fn arms() -> Vec<(String, String)> {
    let scenarios = engine::scenario::summaries();
    let scenarios = scenarios.unwrap_or_else(|e| panic!("the scenarios cannot be listed: {e}"));
    let arms = |it: Summary| it.arms.into_iter().map(move |arm| (it.name.clone(), arm.to_string()));
    scenarios.into_iter().flat_map(arms).collect()
}

/// What comes of an arm is what its file expects. What comes of the documented way is not what the other arm expects:
/// the finding of that arm is that of its omission.
pub(crate) fn as_expected(name: &str, arm: &str) -> Result<(), Failed> {
    let out = tempfile::tempdir()?;
    let mut command = seatrial(&["scenario", "run", name, "--arm", arm, "--subject", "standin", "--out"]);
    run(command.arg(out.path()))?
        .expect_code(0)?
        .expect_words(&[&format!("scenario {name}/{arm}: as expected")])?;
    // A way that is refused leaves no run.
    let Some(folder) = std::fs::read_dir(out.path())?.next().transpose()? else { return Ok(()) };
    census::nothing_of(&folder.file_name().to_string_lossy())?;
    let record = record(&folder.path())?;
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{name}/{arm}"), record);
    if arm == "followed" {
        let (runs, mut judged) = (JudgeOptions { runs: vec![out.path().to_owned()], arm: None }, Vec::new());
        let code = judge(&runs, Some(Arm::Skipped), &mut judged)?;
        if !matches!(code, 1 | 4) {
            let judged = String::from_utf8_lossy(&judged);
            return Err(format!("it is as expected without an omission, too: {judged}").into());
        }
    }
    Ok(())
}

/// The record of an arm in a sandbox, of its own test if that was run before.
#[cfg(feature = "e2e-kind")]
pub(crate) fn in_sandbox(name: &str, arm: &str) -> Result<Run, Failed> {
    let recorded = || {
        let records = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
        records.get(&format!("{name}/{arm}")).cloned()
    };
    if recorded().is_none() {
        as_expected(name, arm)?;
    }
    recorded().ok_or_else(|| format!("{name}/{arm} leaves no run").into())
}
