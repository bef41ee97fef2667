//! Runs beside each other.

use libtest_mimic::Failed;

use crate::command::{Running, run, seatrial};

/// Two runs at once end well, and `gc` in the middle of both touches neither.
pub(crate) fn two_runs_and_gc() -> Result<(), Failed> {
    let mut first = Running::start(&["run", "1.5", "1.6"])?;
    let mut second = Running::start(&["run", "1.5", "1.6", "--nodes", "1"])?;
    first.wait_for_event(&["step-started", "baseline"])?;
    run(&mut seatrial(&["gc"]))?.expect_code(0)?.expect_words(&["0 removed"])?;
    for running in [&mut first, &mut second] {
        running.ended()?;
        let record = running.record()?;
        // Two clusters on two cores may be too noisy to judge; nothing may fail or be found.
        let verdict = record["verdict"].as_str().unwrap_or_default();
        if !["passed", "noisy"].contains(&verdict) {
            return Err(format!("verdict {verdict}: {}", running.console()).into());
        }
    }
    Ok(())
}
