//! The run among the others of this machine: it measures alone, and makes itself ready in the calm of another.
//!
//! Who finds nobody measuring has its turn before its cluster boots, and is no slower for all this. Who finds another
//! waits until that one only settles, boots and starts its traffic with the processor time that is left over, and has
//! its turn when the other has measured. A cluster that cannot be held back is made in its turn.

use cluster::turn::{Begin, Looked, Next, Turns};
use cluster::{ProviderError, Weight};

use super::bringup::State;
use super::recorder::Recorder;
use super::request::Request;

/// The step in which a run waits for others.
const STEP: &str = "turn";

/// Returns when the cluster may be made.
pub(super) async fn before_boot(
    request: &Request,
    recorder: &Recorder,
    turns: &Turns,
    state: &mut State,
) -> anyhow::Result<()> {
    let beside = request.provider.can_be_held_back();
    if let Looked::Begin(begin) = turns.look(&request.id, beside)? {
        state.turn = Some(begin);
        return Ok(());
    }
    let begin = async {
        state.turn = Some(turns.begin(&request.id, beside, &says(recorder)).await?);
        Ok(())
    };
    recorder.step(STEP, begin).await
}

/// Between two steps: has the turn, and its full weight, if the other has measured meanwhile.
pub(super) fn look(state: &mut State) -> anyhow::Result<()> {
    let Some(next) = next(state) else { return Ok(()) };
    let begin = next.look()?;
    if matches!(begin, Begin::Turn(_)) {
        weigh(state, Weight::Most)?;
    }
    state.turn = Some(begin);
    Ok(())
}

/// Returns when the run may measure, with its cluster at full weight.
pub(super) async fn before_baseline(recorder: &Recorder, state: &mut State) -> anyhow::Result<()> {
    look(state)?;
    let Some(next) = next(state) else { return Ok(()) };
    let turn = async {
        state.turn = Some(Begin::Turn(next.turn(&says(recorder)).await?));
        Ok(weigh(state, Weight::Most)?)
    };
    recorder.step(STEP, turn).await
}

/// Nothing more is done to the cluster: another run may make itself ready.
pub(super) fn calm(state: &mut State) {
    if let Some(Begin::Turn(turn)) = &mut state.turn {
        turn.calm();
    }
}

/// The measurement has ended: another run may measure, and does not suffer from what this one still does.
pub(super) fn ended(request: &Request, state: &mut State) -> anyhow::Result<()> {
    let Some(Begin::Turn(turn)) = state.turn.take() else { return Ok(()) };
    // One that is kept shall be of use at once.
    if !request.keep && turn.is_awaited()? {
        weigh(state, Weight::Least)?;
    }
    Ok(())
}

/// What the cluster gets of the processors as long as it only makes itself ready.
pub(super) fn weight(state: &State) -> Weight {
    match &state.turn {
        Some(Begin::Next(_)) => Weight::Least,
        Some(Begin::Turn(_)) | None => Weight::Most,
    }
}

/// Takes out that the run is next, where it is that.
fn next(state: &mut State) -> Option<Next> {
    match state.turn.take_if(|begin| matches!(begin, Begin::Next(_))) {
        Some(Begin::Next(next)) => Some(next),
        Some(Begin::Turn(_)) | None => None,
    }
}

fn weigh(state: &State, weight: Weight) -> Result<(), ProviderError> {
    state.cluster.as_ref().map_or(Ok(()), |cluster| cluster.weigh(weight))
}

fn says(recorder: &Recorder) -> impl Fn(&str) + Sync {
    |other| recorder.progress(STEP, format!("waits until run {other} has measured"))
}
