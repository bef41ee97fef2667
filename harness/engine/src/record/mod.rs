//! The recorder: everything that happens in a run goes through it, to the event log, the console and the record. What comes
//! from outside, such as the words of a command that failed, leaves its secrets here.

mod clock;
mod start;

use std::sync::{Mutex, MutexGuard, PoisonError};

use report::event::{Event, Observation, What};
use report::folder::{EventLog, RunFolder};
use report::run::{Noise, Outcome, Provider, Run, SCHEMA, Step, TimedObservation, Verdict};
use report::{Console, Layout, incidents, summary};

pub(crate) use clock::RunClock;
pub(crate) use start::{Audience, RecordStart};

use crate::redact::redact;
use crate::run::recipe::Recipe;
use crate::{errors, exit};

/// The recorder of one run.
pub(crate) struct Recorder {
    folder: RunFolder,
    clock: RunClock,
    audience: Audience,
    inner: Mutex<Inner>,
}

struct Inner {
    run: Run,
    log: EventLog,
    console: Console,
    open: Vec<(String, f64)>,
    /// The first thing that could not be recorded; the run ends over it.
    failure: Option<String>,
}

impl Recorder {
    /// Creates the run folder with the record, which says until the end that the run has not ended.
    pub(crate) fn start(start: &RecordStart) -> anyhow::Result<Self> {
        let folder = RunFolder::create(&start.out, &start.id)?;
        if let Some(recipe) = &start.recipe {
            recipe.save(folder.path())?;
        }
        let run = empty(start);
        // A run that is killed before its first step ends must not be missing from collections of runs.
        folder.save(&run)?;
        let console = match start.audience {
            Audience::Run { .. } | Audience::Steps => Console::stderr(),
            #[cfg(test)]
            Audience::Nobody => Console::plain(std::io::sink()),
        };
        let inner = Inner { run, log: folder.events()?, console, open: Vec::new(), failure: None };
        let (clock, audience) = (RunClock::start(), start.audience);
        let recorder = Self { folder, clock, audience, inner: Mutex::new(inner) };
        recorder.emit(What::RunStarted {
            id: start.id.clone(),
            command: std::env::args().map(|word| redact(&word)).collect(),
            folder: recorder.folder.path().display().to_string(),
        });
        Ok(recorder)
    }

    pub(crate) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The clock of the run.
    pub(crate) fn clock(&self) -> RunClock {
        self.clock
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, what: What) {
        self.emit_at(probe::clock::now_ns(), what);
    }

    fn emit_at(&self, at_ns: u64, what: What) {
        let event = Event { at_ms: self.clock.ms(at_ns), what };
        let mut inner = self.lock();
        if let Err(e) = inner.log.append(&event) {
            inner.fail(errors::line(&e.into()));
        }
        if self.audience != Audience::Steps
            || !matches!(event.what, What::RunStarted { .. } | What::RunEnded { .. })
        {
            inner.console.show(&event);
        }
    }

    /// Records a step around `work`.
    pub(crate) async fn step<T: Produced>(
        &self,
        name: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let started_ms = self.clock.now_ms();
        self.lock().open.push((name.to_owned(), started_ms));
        self.emit(What::StepStarted { step: name.to_owned() });
        let ended = work.await;
        let (outcome, detail) = match &ended {
            Ok(produced) => (Outcome::Done, produced.detail()),
            Err(e) => (Outcome::Failed, Some(errors::line(e))),
        };
        self.end_step(name, outcome, detail);
        let failure = self.lock().failure.clone();
        match failure {
            Some(failure) => Err(ended.err().unwrap_or_else(|| anyhow::anyhow!(failure))),
            None => ended,
        }
    }

    fn end_step(&self, name: &str, outcome: Outcome, detail: Option<String>) {
        let (ended_ms, detail) = (self.clock.now_ms(), detail.map(|detail| redact(&detail)));
        {
            let mut inner = self.lock();
            let position = inner.open.iter().rposition(|(open, _)| open == name);
            let started_ms = position.map_or(ended_ms, |position| inner.open.remove(position).1);
            let step = Step { name: name.to_owned(), started_ms, ended_ms, outcome, detail: detail.clone() };
            inner.run.steps.push(step);
            inner.run.elapsed_ms = ended_ms;
            if let Err(e) = self.folder.save(&inner.run) {
                inner.fail(errors::line(&e.into()));
            }
        }
        self.emit(What::StepEnded { step: name.to_owned(), outcome, detail });
    }

    /// Records progress inside a step.
    pub(crate) fn progress(&self, step: &str, message: String) {
        self.emit(What::Progress { step: step.to_owned(), message: redact(&message) });
    }

    /// Records something that happened in the cluster at `at_ns`.
    pub(crate) fn observe(&self, at_ns: u64, mut what: Observation) {
        what.detail = what.detail.map(|detail| redact(&detail));
        self.emit_at(at_ns, What::Observed(what.clone()));
        let at_ms = self.clock.ms(at_ns);
        self.lock().run.observations.push(TimedObservation { at_ms, what });
    }

    /// Ends the open steps as interrupted.
    pub(crate) fn interrupt(&self) {
        let open: Vec<_> = self.lock().open.iter().rev().map(|(name, _)| name.clone()).collect();
        for name in open {
            self.end_step(&name, Outcome::Interrupted, None);
        }
    }

    /// Changes the record.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Run) -> T) -> T {
        change(&mut self.lock().run)
    }

    /// Sets the verdict to errored; an interrupted run stays interrupted.
    pub(crate) fn errored(&self, reason: &str) {
        self.with(|run| {
            if run.verdict != Verdict::Interrupted {
                run.verdict = Verdict::Errored;
                reason.clone_into(&mut run.reason);
            }
        });
    }

    /// Writes all reports, shows the summary, and returns the record.
    pub(crate) fn finish(&self) -> anyhow::Result<Run> {
        let failure = self.lock().failure.clone();
        if let Some(failure) = failure {
            self.errored(&failure);
        }
        let (verdict, exit_code) = self.with(|run| {
            run.reason = redact(&run.reason);
            for finding in &mut run.findings {
                finding.summary = redact(&finding.summary);
                finding.evidence = redact(&finding.evidence);
            }
            run.exit_code = exit::of(run.verdict);
            run.elapsed_ms = self.clock.now_ms();
            run.incidents = incidents::of(run);
            (run.verdict, run.exit_code)
        });
        self.emit(What::RunEnded { verdict, exit_code });
        let run = self.lock().run.clone();
        let written = self.folder.finish(&run);
        if let Audience::Run { verbose } = self.audience {
            self.show_summary(&run, verbose, written.is_ok())?;
        }
        written?;
        Ok(run)
    }

    fn show_summary(&self, run: &Run, verbose: bool, has_report: bool) -> anyhow::Result<()> {
        use std::io::Write as _;
        let report = self.folder.report_html();
        let layout = Layout { verbose, report: has_report.then_some(report.as_path()), ..Layout::stdout() };
        Ok(write!(std::io::stdout(), "{}", summary::render(run, &layout))?)
    }
}

impl Inner {
    fn fail(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
    }
}

/// What a step may return, and how it is shown.
pub(crate) trait Produced {
    fn detail(&self) -> Option<String>;
}

impl Produced for () {
    fn detail(&self) -> Option<String> {
        None
    }
}

impl Produced for String {
    fn detail(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Produced for Option<String> {
    fn detail(&self) -> Option<String> {
        self.clone()
    }
}

fn empty(start: &RecordStart) -> Run {
    Run {
        schema: SCHEMA.to_owned(),
        id: start.id.clone(),
        name: start.recipe.as_ref().and_then(Recipe::trial),
        seatrial: env!("CARGO_PKG_VERSION").to_owned(),
        started: jiff::Timestamp::now().to_string(),
        elapsed_ms: 0.0,
        verdict: Verdict::Errored,
        reason: "the run has not ended".to_owned(),
        exit_code: exit::ERRORED,
        subject: start.subject.clone(),
        provider: Provider {
            name: start.provider.clone(),
            facts: start.calibration.iter().map(|last| ("calibration".to_owned(), last.clone())).collect(),
            ..Provider::default()
        },
        path: start.path.clone(),
        steps: Vec::new(),
        noise: Noise::default(),
        probing: String::new(),
        flows: Vec::new(),
        observations: Vec::new(),
        findings: Vec::new(),
        incidents: Vec::new(),
        budgets: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use model::{Change, Role};
    use report::collection::{Recorded, Status, tally};
    use report::run::Finding;

    use super::*;

    fn start(id: &str, out: &Path) -> RecordStart {
        RecordStart {
            id: id.to_owned(),
            out: out.to_owned(),
            audience: Audience::Nobody,
            subject: "standin".to_owned(),
            provider: "fake".to_owned(),
            path: Vec::new(),
            recipe: None,
            calibration: None,
        }
    }

    /// It was killed before its first step ended.
    #[test]
    fn a_run_that_never_reported_is_in_every_list_of_runs_and_not_judged() {
        let out = tempfile::tempdir().unwrap();
        drop(Recorder::start(&start("silent", out.path())).unwrap());
        let folders = report::collection::folders(out.path()).unwrap();
        let runs: Vec<_> = folders.iter().map(|folder| Recorded::load(folder).unwrap()).collect();
        assert_eq!(tally(&runs), "0 failed, 1 not judged, 0 passed");
        assert_eq!((runs[0].status(), runs[0].reasons()), (Status::NotJudged, vec!["the run has not ended"]));
    }

    /// A secret that comes in by every way is in no file of the run folder.
    #[tokio::test]
    async fn no_secret_reaches_the_run_folder() {
        const SECRET: &str = "hunter2";
        let words = || format!("helm --set db.password={SECRET} failed");
        let out = tempfile::tempdir().unwrap();
        let recorder = Recorder::start(&start("canary", out.path())).unwrap();
        recorder.progress("install", words());
        let failed = recorder.step::<()>("install", async { Err(anyhow::anyhow!(words())) }).await;
        assert!(failed.is_err());
        recorder.step("again", async { Ok(words()) }).await.unwrap();
        let observation = Observation {
            node: None,
            role: Role::Agent,
            object: "agent-1".to_owned(),
            change: Change::CannotStart,
            detail: Some(words()),
        };
        recorder.observe(probe::clock::now_ns(), observation);
        recorder.errored(&words());
        let finding = Finding {
            id: "F1".to_owned(),
            hazard: None,
            flow: None,
            summary: words(),
            evidence: words(),
            reproduce: String::new(),
        };
        recorder.with(|run| run.findings.push(finding));
        recorder.finish().unwrap();
        let files: Vec<_> = std::fs::read_dir(recorder.folder().path()).unwrap().flatten().collect();
        let texts = files
            .iter()
            .filter(|file| file.path().is_file())
            .map(|file| (file.path(), std::fs::read_to_string(file.path()).unwrap()));
        let mut redacted = 0;
        for (path, text) in texts {
            assert!(!text.contains(SECRET), "{} has it", path.display());
            redacted += text.matches("&lt;redacted").count() + text.matches("<redacted").count();
        }
        assert!(redacted >= 10, "{redacted}: it was left out, not redacted");
    }
}
