//! Takes the steps of a procedure, and stops at the first one that fails.

use std::time::Duration;

use model::{Change, Role};
use report::event::Observation;
use report::run::TimedObservation;

use super::obstructions::{self, Obstruction};
use crate::errors;
use crate::judge::{Transition, UnfinishedChange, Window};
use crate::record::Recorder;
use crate::session::{Session, Snapshots};
use crate::steps::{Action, Observations, Step, StepContext, measured_for};

/// How long flows may take to recover from a disturbance.
const RECOVERED: Duration = Duration::from_secs(120);
/// How long is measured between two disturbances.
const CALM: Duration = Duration::from_secs(2);

/// Takes steps, one after the other.
pub(super) struct Follower<'a> {
    pub(super) recorder: &'a Recorder,
    pub(super) snapshots: Snapshots<'a>,
    pub(super) context: StepContext<'a>,
}

impl Follower<'_> {
    pub(super) async fn follow(mut self, steps: &[Step], session: &mut Session<'_>) -> anyhow::Result<()> {
        for (step, left) in steps.iter().zip((0..steps.len()).rev()) {
            self.context.last = left == 0;
            // Work that belongs to the harness ends before the traffic of a change is judged.
            if let Some(blocked) = self.render(step, session).await? {
                self.recorder.progress(&step.name, format!("the procedure ends here: {blocked}"));
                return Ok(());
            }
            if let Some(hop) = &step.hop {
                let transition = Transition { name: hop.name(), l3: hop.l3, l7: hop.l7 };
                session.evidence.windows.push(Window::opened(transition));
            }
            if self.context.last && step.is_quiet() {
                session.quiet();
            }
            match self.recorder.step(&step.name, self.take(step)).await {
                Err(e) if step.may_fail => {
                    let reason = errors::line(&e);
                    self.recorder.progress(&step.name, format!("the procedure ends here: {reason}"));
                    if step.hop.is_some() {
                        let unfinished = UnfinishedChange { step: step.name.clone(), reason };
                        session.evidence.unfinished = Some(unfinished);
                    }
                    return Ok(());
                }
                ended => drop(ended?),
            }
            if let Some(point) = &step.point {
                self.snapshots.take(point).await?;
            }
            if let (Action::Inject(_), Some(traffic)) = (&step.action, &session.traffic) {
                traffic.flowing(RECOVERED).await?;
                measured_for(CALM).await?;
            }
        }
        Ok(())
    }

    /// Renders the chart for a step that applies one; returns what blocks it.
    async fn render(&mut self, step: &Step, session: &mut Session<'_>) -> anyhow::Result<Option<String>> {
        let (Action::Upgrade(upgrade), Some(hop)) = (&step.action, &step.hop) else {
            self.context.rendered.clear();
            return Ok(None);
        };
        let release = self.context.tagged(&step.to, upgrade.tag.as_deref())?;
        let rendered = obstructions::render(&self.context.subject, hop, &release, upgrade.parts());
        let rendered = self.recorder.step(&format!("manifests {}", hop.to), rendered).await?;
        let blocked = rendered.obstructions.iter().find(|obstruction| obstruction.blocks);
        let blocked = blocked.map(Obstruction::summary);
        session.evidence.findings.extend(rendered.obstructions.iter().map(Obstruction::finding));
        self.context.rendered = rendered.objects;
        Ok(blocked)
    }

    /// Takes a step, and returns its detail.
    async fn take(&mut self, step: &Step) -> anyhow::Result<Option<String>> {
        let done = step.run(&self.context).await?;
        self.snapshots.keep(done.keep);
        Ok(done.detail)
    }
}

impl Observations for Recorder {
    fn observe(&self, at_ns: u64, observation: Observation) {
        Self::observe(self, at_ns, observation);
    }

    fn ended_agents(&self) -> usize {
        let ended = |seen: &&TimedObservation| {
            seen.what.role == Role::Agent && seen.what.change == Change::Terminated
        };
        self.with(|run| run.observations.iter().filter(ended).count())
    }
}
