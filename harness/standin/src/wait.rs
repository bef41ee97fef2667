//! The one place that waits for time to pass.

use std::time::Duration;

/// Waits for `duration` between two attempts of the same thing.
#[expect(clippy::disallowed_methods, reason = "the wait module")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
