//! The run among the others of this machine: it measures alone, and makes itself ready in the calm of another.
//!
//! Who finds nobody measuring has its turn before its cluster boots, and is no slower for all this. Who finds another
//! waits until that one only settles, boots and starts its traffic with little processor time, and has its turn when
//! the other has measured. A cluster that cannot be held back is made in its turn.

use cluster::turn::{Next, Start, Turn, TurnState, Turns};
use cluster::{CpuPriority, CpuWeight};
use tokio::task::JoinHandle;

use super::recorder::{Produced, Recorder};
use super::request::Request;

/// The step in which a run waits for others.
const STEP: &str = "turn";

/// How a run stands among the others.
#[derive(Debug, Default)]
pub(super) enum Standing {
    /// It has not begun, or it has measured; or its cluster is elsewhere.
    #[default]
    Out,
    /// It makes itself ready, and waits for its turn meanwhile.
    Next(JoinHandle<anyhow::Result<Turn>>, CpuWeight),
    /// It is its turn.
    Turn(Turn, CpuWeight),
}

impl Standing {
    /// Returns when the cluster may be made.
    pub(super) async fn before_boot(
        request: &Request,
        recorder: &Recorder,
        turns: &Turns,
    ) -> anyhow::Result<Self> {
        if request.there.is_some() {
            return Ok(Self::Out);
        }
        let beside = request.provider.capabilities().cpu_weight;
        let waits = |other: &str| recorder.progress(STEP, format!("waits until run {other} has measured"));
        let begin = match turns.try_start(&request.id, beside)? {
            TurnState::Ready(begin) => begin,
            TurnState::Blocked(_) => {
                let begin = async { Ok(turns.start(&request.id, beside, &waits).await?) };
                recorder.step(STEP, begin).await?
            }
        };
        Ok(match begin {
            Start::Turn(turn) => Self::Turn(turn, CpuWeight::new(CpuPriority::High)),
            Start::Next(next) => {
                recorder.progress(STEP, format!("makes itself ready beside run {}", next.other()));
                let share = CpuWeight::new(CpuPriority::Low);
                Self::Next(tokio::spawn(turn(next, share.clone())), share)
            }
        })
    }

    /// What the cluster gets of the processors.
    pub(super) fn share(&self) -> CpuWeight {
        match self {
            Self::Out => CpuWeight::new(CpuPriority::High),
            Self::Next(_, share) | Self::Turn(_, share) => share.clone(),
        }
    }

    /// Returns when the run may measure, with its cluster at full weight.
    pub(super) async fn before_baseline(&mut self, recorder: &Recorder) -> anyhow::Result<()> {
        let Self::Next(turn, share) = self else { return Ok(()) };
        let turn = recorder.step(STEP, async { turn.await? }).await?;
        *self = Self::Turn(turn, share.clone());
        Ok(())
    }

    /// Nothing more is done to the cluster: another run may make itself ready.
    pub(super) fn calm(&mut self) {
        if let Self::Turn(turn, _) = self {
            turn.quiet();
        }
    }

    /// The measurement has ended: another run may measure, and suffers little from what this one still does. A cluster
    /// that is kept shall be of use at once.
    pub(super) fn ended(self, kept: bool) -> anyhow::Result<()> {
        match self {
            Self::Out => {}
            Self::Next(turn, _) => turn.abort(),
            Self::Turn(turn, share) => {
                if !kept && turn.is_awaited()? {
                    share.set(CpuPriority::Normal)?;
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

/// Waits for the turn, and gives the cluster its full weight with it, however far it has come.
async fn turn(next: Next, share: CpuWeight) -> anyhow::Result<Turn> {
    let turn = next.turn().await?;
    share.set(CpuPriority::High)?;
    Ok(turn)
}
