//! Follows the logs of the client pods and hands every line to the store.
//!
//! The way is harness → API server → kubelet → log file: it does not cross the network under test. A stream
//! that breaks or falls silent is opened again a little before where it ended; batch numbers weed out what
//! is seen twice. When a pod has ended, its log is read once more as a whole.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::time::{Instant, timeout};

use crate::store::Store;
use crate::wait::back_off;

/// A prober prints ten times a second: a stream that is silent for so long is broken.
const SILENCE: Duration = Duration::from_secs(3);

/// Follows one pod's log until the pod has ended and all of it is read.
pub(crate) async fn follow(pods: Api<Pod>, pod: String, store: Arc<Store>) {
    let mut last_line: Option<Instant> = None;
    let mut tries = 0;
    loop {
        let since = last_line.map(|at| i64::try_from(at.elapsed().as_secs()).unwrap_or(0) + 2);
        let params = LogParams { follow: true, since_seconds: since, ..LogParams::default() };
        match read(&pods, &pod, &params, &store).await {
            Ok(lines) if lines > 0 => (last_line, tries) = (Some(Instant::now()), 0),
            Ok(_) => {}
            Err(error) => tracing::debug!(pod, %error, "log stream"),
        }
        match has_ended(&pods, &pod).await {
            Some(true) => break,
            Some(false) | None => back_off(tries).await,
        }
        tries += 1;
    }
    if let Err(error) = read(&pods, &pod, &LogParams::default(), &store).await {
        tracing::debug!(pod, %error, "log of a pod that ended");
    }
}

/// Why a log could not be read to its end.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the API server does not give the log")]
    Open(#[source] Box<kube::Error>),
    #[error("the stream broke")]
    Broken(#[source] io::Error),
    #[error("no line came for {} s", SILENCE.as_secs())]
    Silent,
}

/// Reads a log to its end and returns the number of lines.
async fn read(pods: &Api<Pod>, pod: &str, params: &LogParams, store: &Store) -> Result<u64, ReadError> {
    let open = timeout(SILENCE, pods.log_stream(pod, params)).await.map_err(|_| ReadError::Silent)?;
    let mut lines = pin!(open.map_err(|error| ReadError::Open(Box::new(error)))?.lines());
    let mut count = 0;
    loop {
        match timeout(SILENCE, lines.try_next()).await {
            Ok(Ok(Some(line))) => store.take(pod, &line),
            Ok(Ok(None)) => return Ok(count),
            // What came before still counts: the caller goes on from there.
            Ok(Err(error)) if count == 0 => return Err(ReadError::Broken(error)),
            Err(_) if count == 0 => return Err(ReadError::Silent),
            Ok(Err(_)) | Err(_) => return Ok(count),
        }
        count += 1;
    }
}

/// Says whether a pod will print no more; `None` when the API server does not say.
async fn has_ended(pods: &Api<Pod>, pod: &str) -> Option<bool> {
    match timeout(SILENCE, pods.get_opt(pod)).await.ok()?.ok()? {
        None => Some(true),
        Some(pod) => {
            let phase = pod.status.and_then(|status| status.phase);
            Some(matches!(phase.as_deref(), Some("Succeeded" | "Failed")))
        }
    }
}
