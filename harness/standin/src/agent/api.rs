//! The agent's socket: a request and a response, one JSON line each.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, timeout_at};

use crate::fqdn::cache::Cache;
use crate::wait::pause;

/// Where the agent listens, on the node and in its pod alike.
pub(crate) const SOCKET: &str = "/var/run/cilium/cilium.sock";
const RETRY: Duration = Duration::from_millis(100);

/// A request to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Whether the agent is in order.
    Status,
    /// An address for a sandbox.
    Allocate { container_id: String, namespace: String, pod: String },
    /// Policy and identity for a sandbox whose wire is laid; answered when they are in force.
    Create { container_id: String },
    /// Whether the agent knows a sandbox.
    Check { container_id: String },
    /// The end of a sandbox.
    Delete { container_id: String },
    /// Rules, as `cilium policy import` takes them.
    ImportPolicy { rules: Value },
    /// The rules in force, with the addresses of names.
    Policy,
    /// The names that endpoints have queried.
    Names,
}

/// The agent's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// Done, or in order.
    Ok,
    /// An address, and the one that the node speaks to its pods with.
    Address { ip: Ipv4Addr, node_ip: Ipv4Addr },
    /// Rules were imported, with this number of the policies since.
    Imported { revision: u64 },
    /// Rules.
    Policy { rules: Value },
    /// Names by the endpoint that queried them.
    Names { of: BTreeMap<String, Cache> },
    /// Not ready: repeat the request.
    NotReady { reason: String },
    /// No.
    Failed { reason: String },
}

/// A request to the agent failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// It is away or not ready.
    #[error("the agent is not available: {0}")]
    Away(String),
    /// It refused.
    #[error("{0}")]
    Failed(String),
}

/// Sends a request once.
pub(crate) async fn ask(socket: &Path, request: &Request) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}

/// Repeats a request until the agent is ready, or `patience` runs out.
pub(crate) async fn ask_patiently(
    socket: &Path,
    request: &Request,
    patience: Duration,
) -> Result<Reply, AskError> {
    let deadline = Instant::now() + patience;
    loop {
        let away = match timeout_at(deadline, ask(socket, request)).await {
            Ok(Ok(Reply::Failed { reason })) => return Err(AskError::Failed(reason)),
            Ok(Ok(Reply::NotReady { reason })) => reason,
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if Instant::now() + RETRY >= deadline {
            return Err(AskError::Away(away));
        }
        pause(RETRY).await;
    }
}

/// Listens on `socket`, in place of an agent that is gone.
pub(crate) fn listen(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(socket)
}

/// Answers requests with `answer`, each on its own.
pub(crate) async fn serve<F, A>(listener: UnixListener, answer: F)
where
    F: Fn(Request) -> A + Clone + Send + 'static,
    A: Future<Output = Reply> + Send,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            pause(RETRY).await;
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            if let Err(error) = serve_one(stream, answer).await {
                tracing::debug!(%error, "a request was dropped");
            }
        });
    }
}

async fn serve_one<F, A>(stream: UnixStream, answer: F) -> io::Result<()>
where
    F: Fn(Request) -> A,
    A: Future<Output = Reply>,
{
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str(&line) {
            Ok(request) => answer(request).await,
            Err(error) => Reply::Failed { reason: error.to_string() },
        };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_patient_caller_waits_until_the_agent_is_ready() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let answer = move |_| {
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move { if first { Reply::NotReady { reason: "starting".into() } } else { Reply::Ok } }
        };
        let server = tokio::spawn(serve(listen(&socket).unwrap(), answer));
        let reply = ask_patiently(&socket, &Request::Status, Duration::from_secs(5)).await.unwrap();
        assert_eq!((reply, asked.load(Ordering::SeqCst)), (Reply::Ok, 2));
        server.abort();
    }

    #[tokio::test]
    async fn an_agent_that_stays_away_is_named() {
        let request = Request::Check { container_id: "c".into() };
        let error = ask_patiently(Path::new("/nonexistent"), &request, Duration::from_millis(1)).await;
        assert!(matches!(error, Err(AskError::Away(_))), "{error:?}");
    }
}
