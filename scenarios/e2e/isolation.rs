//! Runs beside each other.

use std::path::Path;

use libtest_mimic::Failed;

use crate::command::{Running, run, seatrial};

/// Two runs at once end well and do not disturb each other: the second boots when nothing more is done to the cluster
/// of the first, and measures when that one has measured. `gc` in the middle of both touches neither.
pub(crate) fn two_runs_and_gc() -> Result<(), Failed> {
    let mut first = Running::start(&["run", "1.5", "1.6", "--subject", "standin"])?;
    first.wait_for_event(&["step-started", "\"cluster\""])?;
    let mut second = Running::start(&["run", "1.5", "1.6", "--subject", "standin", "--nodes", "1"])?;
    let id = first.id().ok_or("the first run made no folder")?;
    second.wait_for_event(&["progress", &format!("waits until run {id} has measured")])?;
    let begun_before = |running: &mut Running, step: &str, words: &[&str]| {
        running.wait_for_event(&["step-started", &format!("\"{step}\"")])?;
        match first.event(1, words)? {
            Some(_) => Ok(()),
            None => Err(Failed::from(format!("the second began its {step}, and the first had no {words:?}"))),
        }
    };
    begun_before(&mut second, "cluster", &["step-started", "settle on 1.6.12"])?;
    second.wait_for_event(&["progress", "the API server listens"])?;
    let own = second.id().ok_or("the second run made no folder")?;
    if held_back(&own) == Some(false) {
        return Err("the second takes processor time from the first".into());
    }
    second.wait_for_event(&["step-ended", "\"cluster\""])?;
    run(&mut seatrial(&["gc"]))?.expect_code(0)?.expect_words(&["0 removed"])?;
    begun_before(&mut second, "baseline", &["step-ended", "settle on 1.6.12"])?;
    if held_back(&own) == Some(true) {
        return Err("the second measures with little processor time".into());
    }
    for running in [&mut first, &mut second] {
        let code = running.ended()?;
        if code != Some(0) {
            return Err(format!("exit code {code:?}: {}", running.console()).into());
        }
    }
    Ok(())
}

/// Whether a run's cluster gets less processor time than a process; none where it has no weight.
fn held_back(id: &str) -> Option<bool> {
    let files = [("cpu", "cpu.shares", 1_024), ("cpu,cpuacct", "cpu.shares", 1_024), ("", "cpu.weight", 100)];
    files.iter().find_map(|(hierarchy, file, process)| {
        let cgroup = Path::new("/sys/fs/cgroup").join(hierarchy).join(format!("seatrial-{id}"));
        let weight: u32 = std::fs::read_to_string(cgroup.join(file)).ok()?.trim().parse().ok()?;
        Some(weight < *process)
    })
}
