//! Everything that happens in a run goes through here: to the event log, the console and the record.

use std::sync::{Mutex, MutexGuard, PoisonError};

use report::event::{Event, Observation, What};
use report::folder::{EventLog, RunFolder};
use report::run::{Noise, Outcome, Provider, Run, SCHEMA, Step, TimedObservation, Verdict};
use report::{Console, Layout, incidents, summary};

use super::brief::Brief;
use super::judge::Judged;
use super::recipe::Recipe;
use crate::calibrate;
use crate::redact::redact;
use crate::{errors, exit};

/// The recorder of one run.
pub(super) struct Recorder {
    folder: RunFolder,
    start_ns: u64,
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
    /// Makes the run folder and begins.
    pub(super) fn start(brief: &Brief) -> anyhow::Result<Self> {
        let folder = RunFolder::create(&brief.out, &brief.id)?;
        if let Some(recipe) = &brief.recipe {
            recipe.save(folder.path())?;
        }
        let inner = Inner {
            run: empty(brief),
            log: folder.events()?,
            console: Console::stderr(),
            open: Vec::new(),
            failure: None,
        };
        let recorder = Self { folder, start_ns: probe::clock::now_ns(), inner: Mutex::new(inner) };
        recorder.emit(What::RunStarted {
            id: brief.id.clone(),
            command: std::env::args().map(|word| redact(&word)).collect(),
            folder: recorder.folder.path().display().to_string(),
        });
        Ok(recorder)
    }

    pub(super) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Milliseconds from the start of the run to a moment; 0 for what was before.
    pub(super) fn ms(&self, at_ns: u64) -> f64 {
        // Whole microseconds, so that a number survives its way through JSON.
        (at_ns.saturating_sub(self.start_ns) / 1_000) as f64 / 1_000.0
    }

    /// The moment that [`Self::ms`] gave as `at_ms`.
    pub(super) fn ns(&self, at_ms: f64) -> u64 {
        self.start_ns + (at_ms * 1_000.0).round() as u64 * 1_000
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, what: What) {
        self.emit_at(probe::clock::now_ns(), what);
    }

    fn emit_at(&self, at_ns: u64, what: What) {
        let event = Event { at_ms: self.ms(at_ns), what };
        let mut inner = self.lock();
        if let Err(e) = inner.log.append(&event) {
            inner.fail(errors::line(&e.into()));
        }
        inner.console.show(&event);
    }

    /// Records a step around `work`; the text that it returns is what the step produced.
    pub(super) async fn step<T: Produced>(
        &self,
        name: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let started_ms = self.ms(probe::clock::now_ns());
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
        let ended_ms = self.ms(probe::clock::now_ns());
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

    /// Tells of progress inside a step.
    pub(super) fn progress(&self, step: &str, message: String) {
        self.emit(What::Progress { step: step.to_owned(), message });
    }

    /// Records something that was seen in the cluster at `at_ns`.
    pub(super) fn observe(&self, at_ns: u64, what: Observation) {
        self.emit_at(at_ns, What::Observed(what.clone()));
        let at_ms = self.ms(at_ns);
        self.lock().run.observations.push(TimedObservation { at_ms, what });
    }

    /// Closes the steps that the user's interruption cut short.
    pub(super) fn interrupt(&self) {
        let open: Vec<_> = self.lock().open.iter().rev().map(|(name, _)| name.clone()).collect();
        for name in open {
            self.end_step(&name, Outcome::Interrupted, None);
        }
    }

    /// Changes the record.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Run) -> T) -> T {
        change(&mut self.lock().run)
    }

    /// Takes over what the run was judged to be.
    pub(super) fn judged(&self, judged: Judged) {
        self.with(|run| {
            run.verdict = judged.verdict;
            run.reason = judged.reason;
            run.noise = judged.noise;
            run.flows = judged.flows;
            run.findings = judged.findings;
            run.budgets = judged.budgets;
        });
    }

    /// Makes the run errored, whatever it was; an interruption stays one.
    pub(super) fn errored(&self, reason: &str) {
        self.with(|run| {
            if run.verdict != Verdict::Interrupted {
                run.verdict = Verdict::Errored;
                reason.clone_into(&mut run.reason);
            }
        });
    }

    /// Writes all reports, shows the summary, and returns the record.
    pub(super) fn finish(&self, brief: &Brief) -> anyhow::Result<Run> {
        use std::io::Write as _;
        let failure = self.lock().failure.clone();
        if let Some(failure) = failure {
            self.errored(&failure);
        }
        let (verdict, exit_code) = self.with(|run| {
            run.exit_code = exit::of(run.verdict);
            run.elapsed_ms = self.ms(probe::clock::now_ns());
            run.incidents = incidents::of(run);
            (run.verdict, run.exit_code)
        });
        self.emit(What::RunEnded { verdict, exit_code });
        let run = self.lock().run.clone();
        let written = self.folder.finish(&run);
        let report = self.folder.report_html();
        let layout = Layout {
            verbose: brief.verbose,
            report: written.is_ok().then_some(report.as_path()),
            ..Layout::stdout()
        };
        write!(std::io::stdout(), "{}", summary::render(&run, &layout))?;
        written?;
        Ok(run)
    }
}

impl Inner {
    fn fail(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
    }
}

/// What a step may return, and how it is shown.
pub(super) trait Produced {
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

fn empty(brief: &Brief) -> Run {
    Run {
        schema: SCHEMA.to_owned(),
        id: brief.id.clone(),
        name: brief.recipe.as_ref().and_then(Recipe::trial),
        seatrial: env!("CARGO_PKG_VERSION").to_owned(),
        started: jiff::Timestamp::now().to_string(),
        elapsed_ms: 0.0,
        verdict: Verdict::Errored,
        reason: "the run has not ended".to_owned(),
        exit_code: exit::ERRORED,
        subject: brief.subject.clone(),
        provider: Provider {
            name: brief.provider.clone(),
            facts: calibrate::last().into_iter().map(|said| ("calibration".to_owned(), said)).collect(),
            ..Provider::default()
        },
        path: brief.path.clone(),
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
