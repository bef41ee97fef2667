//! Waiting: named conditions with a deadline, and the last state that was seen.

use std::time::{Duration, Instant};

/// A condition that did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:.1?} for {condition}; last seen: {last}")]
pub struct Timeout {
    /// The condition.
    pub condition: String,
    /// How long it was waited for.
    pub waited: Duration,
    /// The last state.
    pub last: String,
}

/// Asks `probe` again and again, `every` apart, until it answers with a value; its error is the state so far.
///
/// # Errors
/// When the deadline has passed: the condition's name and the last state.
pub async fn until<T>(
    condition: &str,
    deadline: Duration,
    every: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, Timeout> {
    let started = Instant::now();
    loop {
        let last = match probe().await {
            Ok(value) => return Ok(value),
            Err(state) => state,
        };
        if started.elapsed() >= deadline {
            return Err(Timeout { condition: condition.to_owned(), waited: started.elapsed(), last });
        }
        #[expect(clippy::disallowed_methods, reason = "the pause between two looks at a condition")]
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn timeout_names_condition_and_last_state() {
        let mut count = 0;
        let probe = async || {
            count += 1;
            Err::<(), _>(format!("look {count}"))
        };
        let error = until("a thing", Duration::ZERO, Duration::ZERO, probe).await.unwrap_err();
        assert!(error.to_string().ends_with("for a thing; last seen: look 1"), "{error}");
    }
}
