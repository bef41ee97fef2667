//! The turn of a run among the others of this machine: one run measures, and the next one prepares while it settles.
//!
//! A run that finds no other one measuring has its turn before its cluster boots. Otherwise it waits until the other run
//! only settles, boots and starts its traffic with low CPU priority, and has its turn when the other has measured. A
//! cluster without CPU priorities boots in its turn.

use cluster::turn::{Next, Start, Turn, TurnState};
use cluster::{CpuPriority, CpuWeight};
use tokio::task::JoinHandle;

use super::Place;
use crate::record::{Produced, Recorder};

/// The step in which a run waits for others.
const STEP: &str = "turn";

/// The turn of a run.
#[derive(Debug, Default)]
pub(crate) enum RunTurn {
    /// The run has not started, has measured already, or its cluster takes no turns.
    #[default]
    None,
    /// The run prepares, and waits for its turn meanwhile.
    Preparing(JoinHandle<anyhow::Result<Turn>>, CpuWeight),
    /// It is the run's turn.
    Measuring(Turn, CpuWeight),
}

impl RunTurn {
    /// Returns when the place may boot.
    pub(crate) async fn before_boot(place: &Place, recorder: &Recorder) -> anyhow::Result<Self> {
        let Some(turns) = place.turns() else { return Ok(Self::None) };
        let may_overlap = place.provider.capabilities().cpu_weight;
        let waits = |other: &str| recorder.progress(STEP, format!("waits until run {other} has measured"));
        let start = match turns.try_start(&place.id, may_overlap)? {
            TurnState::Ready(start) => start,
            TurnState::Blocked(_) => {
                let start = async { Ok(turns.start(&place.id, may_overlap, &waits).await?) };
                recorder.step(STEP, start).await?
            }
        };
        Ok(match start {
            Start::Turn(turn) => Self::Measuring(turn, CpuWeight::new(CpuPriority::High)),
            Start::Next(next) => {
                recorder.progress(STEP, format!("prepares while run {} settles", next.other()));
                let weight = CpuWeight::new(CpuPriority::Low);
                Self::Preparing(tokio::spawn(turn(next, weight.clone())), weight)
            }
        })
    }

    /// The CPU weight of the cluster.
    pub(crate) fn cpu_weight(&self) -> CpuWeight {
        match self {
            Self::None => CpuWeight::new(CpuPriority::High),
            Self::Preparing(_, weight) | Self::Measuring(_, weight) => weight.clone(),
        }
    }

    /// Returns when the run may measure, with its cluster at high priority.
    pub(crate) async fn before_baseline(&mut self, recorder: &Recorder) -> anyhow::Result<()> {
        let Self::Preparing(turn, weight) = self else { return Ok(()) };
        let turn = recorder.step(STEP, async { turn.await? }).await?;
        *self = Self::Measuring(turn, weight.clone());
        Ok(())
    }

    /// The run no longer changes its cluster: another run may prepare.
    pub(crate) fn quiet(&mut self) {
        if let Self::Measuring(turn, _) = self {
            turn.quiet();
        }
    }

    /// The measurement has ended: another run may measure, with little disturbance from what this one still does. A kept
    /// cluster stays at high priority, so that it can be used at once.
    pub(crate) fn ended(self, kept: bool) -> anyhow::Result<()> {
        match self {
            Self::None => {}
            Self::Preparing(turn, _) => turn.abort(),
            Self::Measuring(turn, weight) => {
                if !kept && turn.is_awaited()? {
                    weight.set(CpuPriority::Normal)?;
                }
            }
        }
        Ok(())
    }
}

impl Produced for Turn {
    fn detail(&self) -> Option<String> {
        None
    }
}

impl Produced for Start {
    fn detail(&self) -> Option<String> {
        None
    }
}

/// Waits for the turn, and then sets the cluster to high priority, whether it has booted or not.
async fn turn(next: Next, weight: CpuWeight) -> anyhow::Result<Turn> {
    let turn = next.turn().await?;
    weight.set(CpuPriority::High)?;
    Ok(turn)
}
