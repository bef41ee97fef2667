//! Waits for named conditions, with a deadline.

use std::time::{Duration, Instant};

/// A condition was not met in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:.1?} for {condition}; last state: {last}")]
pub struct Timeout {
    /// The condition.
    pub condition: String,
    /// The length of the wait.
    pub waited: Duration,
    /// The last state that was seen.
    pub last: String,
}

/// Calls `probe` every `pause` until it returns a value; its error is the current state.
///
/// A probe that is still running at the deadline is dropped, so that a request without a response cannot hang the wait.
///
/// # Errors
/// When the deadline has passed: the name of the condition and the last state.
pub async fn until<T, F>(
    condition: &str,
    deadline: Duration,
    pause: Duration,
    mut probe: impl FnMut() -> F,
) -> Result<T, Timeout>
where
    F: Future<Output = Result<T, String>>,
{
    let started = Instant::now();
    let mut last = None;
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        last = match tokio::time::timeout(left, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(state)) => Some(state),
            Err(_) => Some(unfinished(last)),
        };
        let waited = started.elapsed();
        if waited >= deadline {
            let last = last.unwrap_or_default();
            return Err(Timeout { condition: condition.to_owned(), waited, last });
        }
        self::pause(pause).await;
    }
}

/// The state when the last check did not end.
fn unfinished(before: Option<String>) -> String {
    let state = before.map(|state| format!("{state}; ")).unwrap_or_default();
    format!("{state}the last check got no response")
}

/// The pause between two attempts.
pub(crate) async fn pause(length: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the pause between two attempts")]
    tokio::time::sleep(length).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn timeout_names_condition_and_last_state() {
        let mut count = 0;
        let probe = || {
            count += 1;
            std::future::ready(Err::<(), _>(format!("check {count}")))
        };
        let error = until("a thing", Duration::ZERO, Duration::ZERO, probe).await.unwrap_err();
        assert!(error.to_string().ends_with("for a thing; last state: check 1"), "{error}");
    }

    #[tokio::test]
    async fn probe_that_hangs_does_not_hang_the_wait() {
        let mut count = 0;
        let probe = || {
            count += 1;
            let hangs = count > 1;
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Err::<(), _>("not yet".to_owned())
            }
        };
        let (deadline, pause) = (Duration::from_millis(30), Duration::ZERO);
        let error = until("a thing", deadline, pause, probe).await.unwrap_err();
        let expected = "last state: not yet; the last check got no response";
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}
