//! Runs that are ended at any moment.

use std::time::Duration;

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use report::run::Verdict;

use crate::census::Census;
use crate::command::{Running, run, seatrial};

/// A whole run takes about so long; moments are spread over it.
const RUN_TAKES: Duration = Duration::from_secs(32);

fn moments() -> impl Iterator<Item = Duration> {
    let count: u32 = std::env::var("SEATRIAL_E2E_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    // Spread evenly, each shifted inside its stretch by a part of the clock: no two test runs try the same moments.
    (0..count).map(move |i| {
        let shift = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let part = f64::from(shift.subsec_nanos() % 1_000_000) / 1_000_000.0;
        RUN_TAKES.mul_f64((f64::from(i) + part) / f64::from(count))
    })
}

pub(crate) fn signal(running: &Running, signal: Signal) -> Result<(), Failed> {
    Ok(kill(Pid::from_raw(running.pid().cast_signed()), signal)?)
}

/// After `kill -9` nothing runs and nothing is mounted; what is on disk is `gc`'s.
pub(crate) fn killed() -> Result<(), Failed> {
    for moment in moments() {
        let before = Census::take();
        let mut running = Running::start(&["run", "1.5", "1.6", "--subject", "standin", "--rollback"])?;
        running.let_run(moment)?;
        signal(&running, Signal::SIGKILL)?;
        running.ended()?;
        // The supervisor is told by the kernel; gc waits for a cluster that is ending.
        Census::wait_for_processes(&before)
            .map_err(|e| format!("killed after {moment:.1?}: {}", said(&e)))?;
        run(&mut seatrial(&["gc"]))?.expect_code(0)?;
        Census::wait_for(&before).map_err(|e| format!("killed after {moment:.1?}, gc done: {}", said(&e)))?;
    }
    Ok(())
}

/// After Ctrl-C nothing is left at all, and the reports are there.
pub(crate) fn interrupted() -> Result<(), Failed> {
    for moment in moments() {
        let before = Census::take();
        let mut running = Running::start(&["run", "1.5", "1.6", "--subject", "standin", "--rollback"])?;
        // The handler is in place once the run has begun.
        running.wait_for_event(&["run-started"])?;
        running.let_run(moment)?;
        signal(&running, Signal::SIGINT)?;
        let code = running.ended()?;
        let record = running.record()?;
        let folder = running.folder().ok_or("no run folder")?;
        let reports = ["report.html", "junit.xml"].iter().all(|name| folder.join(name).exists());
        if code != Some(130) || record.verdict != Verdict::Interrupted || !reports {
            let console = running.console();
            return Err(format!("interrupted after {moment:.1?}: exit code {code:?}\n{console}").into());
        }
        Census::wait_for(&before).map_err(|e| format!("interrupted after {moment:.1?}: {}", said(&e)))?;
    }
    Ok(())
}

fn said(failed: &Failed) -> String {
    failed.message().unwrap_or_default().to_owned()
}
