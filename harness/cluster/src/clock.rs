//! CLOCK_MONOTONIC: one clock for all processes of a machine, in every namespace.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC.
#[must_use]
pub fn monotonic_ns() -> i64 {
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(time) => time.tv_sec() * 1_000_000_000 + time.tv_nsec(),
        Err(e) => unreachable!("CLOCK_MONOTONIC always exists: {e}"),
    }
}
