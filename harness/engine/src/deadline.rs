//! Deadlines of what a run waits for while it ends.

use std::time::Duration;

/// Waits for `work`, at most for `limit`.
///
/// # Errors
/// When `work` fails, or has not ended in time; the message names `what`, which completes "waited for …".
pub(crate) async fn within<T>(
    what: &str,
    limit: Duration,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(ended) => ended,
        Err(_) => anyhow::bail!("waited {} s for {what}, which did not end", limit.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn deadline_names_what_was_waited_for() {
        let never = std::future::pending::<anyhow::Result<()>>();
        let error = within("the samples", Duration::ZERO, never).await.unwrap_err();
        assert_eq!(error.to_string(), "waited 0 s for the samples, which did not end");
    }
}
