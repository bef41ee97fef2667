//! Accepts connections for as long as the process runs.

use std::io::Result;
use std::time::Duration;

use crate::wait::pause;

/// The pause after a failure: a process without free file descriptors must not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// Returns the next connection. A failure, such as a lack of file descriptors, is logged and does not end the server.
pub(crate) async fn next<T, F>(mut accept: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T>>,
{
    loop {
        match accept().await {
            Ok(connection) => return connection,
            Err(e) => {
                tracing::warn!(error = %e, "a connection could not be accepted");
                pause(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[tokio::test]
    async fn lack_of_file_descriptors_is_survived() {
        let mut answers =
            vec![Ok("connection"), Err(nix::errno::Errno::EMFILE), Err(nix::errno::Errno::ENFILE)];
        let accept = || match answers.pop() {
            Some(answer) => std::future::ready(answer.map_err(Error::from)),
            None => unreachable!("a connection was accepted"),
        };
        assert_eq!(next(accept).await, "connection");
    }
}
