//! The life cycle of every run, whatever its procedure and its place are:
//!
//! start the record → procedure (boot the place, install, start the traffic, take the steps) → end the measurement →
//! judge → take the place down → write the reports.
//!
//! An error or an interrupt at any moment skips the rest of the procedure only. A further interrupt skips everything but the
//! reports; the ledger then has what `seatrial gc` removes.

use std::path::PathBuf;
use std::sync::Arc;

use report::run::{Run, Verdict};

use crate::errors;
use crate::interrupts::Interrupts;
use crate::judge::{Criteria, End, Recorded, judge};
use crate::place::Place;
use crate::procedure::Procedure;
use crate::record::{RecordStart, Recorder};
use crate::session::{MissingTraffic, Session};

/// The end of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The record, as it is in the run folder.
    pub(crate) run: Run,
    /// Why the procedure did not come to its end.
    pub(crate) failure: Option<anyhow::Error>,
    /// The kubeconfig of a cluster that is kept.
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// Runs a procedure on a place, and counts the interrupts of this process meanwhile.
///
/// # Errors
/// When the run folder cannot be created or written; every other failure is in the record.
pub(crate) async fn run<P: Procedure>(
    place: &Place,
    start: &RecordStart,
    criteria: &Criteria,
    procedure: &mut P,
) -> anyhow::Result<Ended> {
    // Before the record: whoever reads its first event may interrupt.
    let interrupts = Interrupts::of_process();
    run_with(place, start, criteria, procedure, &interrupts).await
}

/// Runs a procedure on a place.
pub(crate) async fn run_with<P: Procedure>(
    place: &Place,
    start: &RecordStart,
    criteria: &Criteria,
    procedure: &mut P,
    interrupts: &Interrupts,
) -> anyhow::Result<Ended> {
    let recorder = Arc::new(Recorder::start(start)?);
    let mut session = Session::new(place, &recorder);
    let ended = follow(procedure, &mut session, interrupts).await;
    let interrupted = ended.is_none();
    if interrupted {
        recorder.interrupt();
        let hint = "interrupted; another Ctrl-C ends at once and leaves the cluster to `seatrial gc`";
        recorder.progress("take down", hint.to_owned());
    }
    let mut end = Conclusion { failure: ended.and_then(Result::err), interrupted, kubeconfig: None };
    // The first interrupt was the end of the procedure, or comes now and changes nothing.
    let last_straw = interrupts.count().max(1) + 1;
    let concluded = tokio::select! {
        () = Box::pin(end.conclude(criteria, procedure, &mut session)) => true,
        () = interrupts.reached(last_straw) => false,
    };
    if !concluded {
        recorder.interrupt();
        recorder.with(|run| {
            run.verdict = Verdict::Interrupted;
            "stopped by the user before the take-down had ended; run `seatrial gc`"
                .clone_into(&mut run.reason);
        });
    }
    let run = recorder.finish()?;
    Ok(Ended { run, failure: end.failure, kubeconfig: end.kubeconfig })
}

/// Follows the procedure until it ends or is interrupted; `None` when it was interrupted.
async fn follow<P: Procedure>(
    procedure: &mut P,
    session: &mut Session<'_>,
    interrupts: &Interrupts,
) -> Option<anyhow::Result<()>> {
    let followed = tokio::select! {
        followed = Box::pin(procedure.follow(session)) => followed,
        () = interrupts.reached(1) => return None,
    };
    match followed {
        Ok(()) => Some(procedure.until_stopped(session, interrupts.reached(1)).await),
        Err(e) => Some(Err(e)),
    }
}

/// What comes after the procedure.
struct Conclusion {
    failure: Option<anyhow::Error>,
    interrupted: bool,
    kubeconfig: Option<PathBuf>,
}

impl Conclusion {
    /// Ends the measurement, judges, and takes the place down.
    async fn conclude<P: Procedure>(
        &mut self,
        criteria: &Criteria,
        procedure: &mut P,
        session: &mut Session<'_>,
    ) {
        let recorder = Arc::clone(&session.recorder);
        let measured = session.end_measurement(self.succeeded()).await;
        if let Err(e) = procedure.measured(session, &measured).await {
            self.failure.get_or_insert(e);
        }
        let (observations, steps) = recorder.with(|run| (run.observations.clone(), run.steps.clone()));
        let recorded = Recorded { clock: recorder.clock(), observations, steps };
        let judged = judge(criteria, &recorded, &session.evidence, &measured, self.end());
        recorder.with(|run| judged.write_to(run));
        let succeeded = self.succeeded();
        let kubeconfig = &mut self.kubeconfig;
        let take_down = async {
            let (left, kept) = session.take_down(succeeded).await?;
            *kubeconfig = kept;
            Ok(left)
        };
        if let Err(e) = recorder.step("take down", take_down).await {
            let reason =
                format!("the cluster could not be taken down: {}; run `seatrial gc`", errors::line(&e));
            recorder.errored(&reason);
        }
    }

    fn succeeded(&self) -> bool {
        !self.interrupted && self.failure.is_none()
    }

    fn end(&self) -> End {
        match &self.failure {
            _ if self.interrupted => End::Interrupted,
            None => End::Done,
            Some(failure) if failure.is::<MissingTraffic>() => End::Skipped(errors::line(failure)),
            Some(failure) => End::Failed(errors::line(failure)),
        }
    }
}

#[cfg(test)]
mod tests;
