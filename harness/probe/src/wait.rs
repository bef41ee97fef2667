//! The only place that sleeps.

use std::time::Duration;

/// Waits before the next attempt of something that failed.
#[expect(clippy::disallowed_methods, reason = "the back-off between tries; their condition has a deadline")]
pub(crate) async fn back_off(tries: u32) {
    let longest = Duration::from_secs(1);
    let delay = Duration::from_millis(50).saturating_mul(1 << tries.min(5));
    tokio::time::sleep(delay.min(longest)).await;
}
