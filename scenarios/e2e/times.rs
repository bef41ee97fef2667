//! How long each test took.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

static TIMES: Mutex<Vec<(String, Duration)>> = Mutex::new(Vec::new());

/// Runs a test, and remembers how long it took.
pub(crate) fn took(name: &str, test: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let started = Instant::now();
    let ended = test();
    TIMES.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), started.elapsed()));
    ended
}

/// Prints them, in the order in which the tests ended.
#[expect(clippy::print_stdout, reason = "the results of tests go there")]
pub(crate) fn print() {
    for (name, took) in TIMES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{:6.1} s  {name}", took.as_secs_f64());
    }
}
