//! Windows without a change: whatever is found in one is a false alarm.

use std::io::Write;
use std::time::Duration;

use crate::place::Place;
use engine::exit;
use engine::steps::{Step, Wait};
use report::run::{Outcome, Run, Verdict};
use report::summary::shortage;

use crate::quiet_run;

/// Length of a window.
const WINDOW: Duration = Duration::from_secs(20);

/// What was seen in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Outages that count against the subject.
    alarms: usize,
    /// Outages that noise excuses.
    excused: usize,
}

/// Runs the command; exit code 1 when there was a false alarm.
pub(crate) async fn run(place: Place, count: u32, out: &mut dyn Write) -> anyhow::Result<u8> {
    let steps = vec![quiet()?; count as usize];
    let record = quiet_run::run(&place, steps).await?;
    if record.verdict == Verdict::Interrupted {
        return Ok(exit::INTERRUPTED);
    }
    let windows = windows(&record, &quiet()?.name);
    anyhow::ensure!(
        windows.len() == count as usize,
        "{} of {count} windows: {}",
        windows.len(),
        record.reason
    );
    for (number, seen) in (1..).zip(&windows).filter(|(_, seen)| **seen != Seen::default()) {
        writeln!(out, "window {number}: {} false alarms, {} outages amid noise", seen.alarms, seen.excused)?;
    }
    let alarms = windows.iter().filter(|seen| seen.alarms > 0).count();
    let noisy = windows.iter().filter(|seen| seen.alarms == 0 && seen.excused > 0).count();
    writeln!(
        out,
        "clean        {count} windows of {} s, {alarms} with false alarms, {noisy} noisy; probes late by {:.1} ms \
         (99 %), {:.1} ms (worst)",
        WINDOW.as_secs(),
        record.noise.lateness_p99_us / 1e3,
        record.noise.lateness_max_us / 1e3,
    )?;
    if let Some(shortage) = shortage(record.noise.stolen_ms, record.noise.cpu_pressure) {
        writeln!(out, "machine      {shortage}")?;
    }
    Ok(if alarms == 0 { exit::PASSED } else { exit::FINDINGS })
}

/// The step of a window.
fn quiet() -> anyhow::Result<Step> {
    Ok(Wait { seconds: u16::try_from(WINDOW.as_secs())? }.step(quiet_run::version()?))
}

/// What was seen in each window, of flows that cross the subject.
fn windows(record: &Run, name: &str) -> Vec<Seen> {
    let windows = record.steps.iter().filter(|step| step.name == name && step.outcome == Outcome::Done);
    windows
        .map(|window| {
            let flows = record.flows.iter().filter(|flow| flow.layer != model::Layer::Canary);
            let within = |at: f64| window.started_ms <= at && at < window.ended_ms;
            let outages = flows.flat_map(|flow| &flow.outages).filter(|outage| within(outage.first_bad_ms));
            outages.fold(Seen::default(), |seen, outage| match outage.noisy {
                true => Seen { excused: seen.excused + 1, ..seen },
                false => Seen { alarms: seen.alarms + 1, ..seen },
            })
        })
        .collect()
}
