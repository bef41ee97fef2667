//! Who is on the machine with whom: arms share it, every other trial has it for itself.
//!
//! Arms take turns to measure, as any two runs do; what one leaves behind is searched for by its name while others
//! are there, and whatever is left behind by any of them when the last is gone.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use libtest_mimic::Failed;

use crate::census::Census;

static MACHINE: RwLock<()> = RwLock::new(());
static ARMS: Mutex<Arms> = Mutex::new(Arms { running: 0, before: None });

/// The arms that run now.
struct Arms {
    running: usize,
    /// The machine before the first of them began.
    before: Option<Census>,
}

/// Runs a trial while nothing else runs; afterwards the machine is as it was.
pub(crate) fn alone(test: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let _machine = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    let before = Census::take();
    test()?;
    Census::wait_for(&before)
}

/// Runs an arm beside others; when the last of them has ended the machine is as it was before the first.
pub(crate) fn beside(arm: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let _machine = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    enter();
    let ended = arm();
    let left = leave();
    ended.and(left)
}

fn arms() -> MutexGuard<'static, Arms> {
    ARMS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn enter() {
    let mut arms = arms();
    if arms.running == 0 {
        arms.before = Some(Census::take());
    }
    arms.running += 1;
}

/// Holds the others back for as long as it looks.
fn leave() -> Result<(), Failed> {
    let mut arms = arms();
    arms.running -= 1;
    match (arms.running, arms.before.take()) {
        (0, Some(before)) => Census::wait_for(&before)
            .map_err(|e| format!("by this arm or one beside it: {}", e.message().unwrap_or_default()).into()),
        (_, before) => {
            arms.before = before;
            Ok(())
        }
    }
}
