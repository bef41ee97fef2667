//! The one module that waits for time to pass or for the end of the process.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for `duration` between two attempts of the same thing.
#[expect(clippy::disallowed_methods, reason = "the wait module")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits for SIGTERM, which the first process of a container ignores unless it has a handler.
pub(crate) async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
