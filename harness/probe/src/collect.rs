//! Follows the logs of pods, line by line.
//!
//! Logs come through the API server and the kubelet, so they do not cross the network under test. A stream that breaks or
//! falls silent is reopened shortly before the point where it ended; batch numbers remove duplicates. When a pod has
//! ended, its whole log is read once more.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::AsyncBufReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::time::{Instant, timeout};

use crate::wait::back_off;

/// A stream that is silent for this long is broken: a prober prints ten times a second, a node watcher once.
const SILENCE: Duration = Duration::from_secs(3);

/// Follows one pod's log until the pod has ended and the whole log is read; a line may come more than once.
pub(crate) async fn follow(pods: Api<Pod>, pod: String, take: impl Fn(&str)) {
    let mut last_line: Option<Instant> = None;
    let mut tries = 0;
    loop {
        let since = last_line.map(|at| i64::try_from(at.elapsed().as_secs()).unwrap_or(0) + 2);
        let params = LogParams { follow: true, since_seconds: since, ..LogParams::default() };
        match read(&pods, &pod, &params, &take).await {
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
    if let Err(error) = read(&pods, &pod, &LogParams::default(), &take).await {
        tracing::debug!(pod, %error, "log of a pod that ended");
    }
}

/// Why a log could not be read to its end.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the API server refused the log")]
    Open(#[source] Box<kube::Error>),
    #[error("the stream broke")]
    Broken(#[source] io::Error),
    #[error("no line came for {} s", SILENCE.as_secs())]
    Silent,
}

/// Reads a log to its end and returns the number of lines.
///
/// A line without its end is incomplete and left for the next reading.
async fn read(
    pods: &Api<Pod>,
    pod: &str,
    params: &LogParams,
    take: &impl Fn(&str),
) -> Result<u64, ReadError> {
    let open = timeout(SILENCE, pods.log_stream(pod, params)).await.map_err(|_| ReadError::Silent)?;
    let mut stream = pin!(open.map_err(|error| ReadError::Open(Box::new(error)))?);
    let (mut count, mut line) = (0, String::new());
    loop {
        line.clear();
        match timeout(SILENCE, stream.read_line(&mut line)).await {
            Ok(Ok(1..)) if line.ends_with('\n') => take(line.trim_end()),
            Ok(Ok(_)) => return Ok(count),
            // Earlier lines still count: the caller continues after them.
            Ok(Err(error)) if count == 0 => return Err(ReadError::Broken(error)),
            Err(_) if count == 0 => return Err(ReadError::Silent),
            Ok(Err(_)) | Err(_) => return Ok(count),
        }
        count += 1;
    }
}

/// Returns whether a pod has ended; `None` when the API server does not answer.
async fn has_ended(pods: &Api<Pod>, pod: &str) -> Option<bool> {
    match timeout(SILENCE, pods.get_opt(pod)).await.ok()?.ok()? {
        None => Some(true),
        Some(pod) => {
            let phase = pod.status.and_then(|status| status.phase);
            Some(matches!(phase.as_deref(), Some("Succeeded" | "Failed")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::net::Ipv4Addr;
    use std::sync::{Arc, Mutex};

    use futures_util::StreamExt as _;
    use futures_util::stream;
    use http_body_util::StreamBody;
    use http_body_util::combinators::BoxBody;
    use hyper::body::{Bytes, Frame, Incoming};
    use hyper::service::service_fn;
    use hyper::{Request, Response, StatusCode};
    use hyper_util::rt::TokioIo;
    use kube::{Client, Config};
    use model::{Class, Kind, Layer, Protocol};
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::flow::tests::flow;
    use crate::sample::Sample;
    use crate::store::Store;
    use crate::wire::{Part, Start, batch_lines, start_line};

    const PERIOD: u64 = 10_000_000;

    /// The API server's answer to one request for the log.
    enum Answer {
        /// The container is not started yet.
        Waiting,
        /// These lines, and then the stream ends.
        Lines(String),
        /// These bytes of a longer answer, and then the connection breaks.
        Broken(String),
    }

    struct Api {
        logs: Mutex<VecDeque<Answer>>,
        asked: Mutex<Vec<String>>,
    }

    impl Api {
        fn answer(&self, request: &Request<Incoming>) -> Response<BoxBody<Bytes, io::Error>> {
            let mut logs = self.logs.lock().unwrap();
            let (mut status, mut end) = (StatusCode::OK, None);
            let body = if request.uri().path().ends_with("/log") {
                self.asked.lock().unwrap().push(request.uri().query().unwrap_or_default().to_owned());
                match logs.pop_front().unwrap() {
                    Answer::Waiting => {
                        status = StatusCode::BAD_REQUEST;
                        json!({"kind": "Status", "code": 400, "message": "ContainerCreating"}).to_string()
                    }
                    Answer::Lines(lines) => lines,
                    Answer::Broken(lines) => {
                        end = Some(Err(io::ErrorKind::ConnectionReset.into()));
                        lines
                    }
                }
            } else {
                // The pod lives until only the last reading of its log is left.
                let phase = if logs.len() > 1 { "Running" } else { "Failed" };
                json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "client-1"},
                       "status": {"phase": phase}})
                .to_string()
            };
            let first = stream::iter([Ok(Frame::data(Bytes::from(body)))]);
            // By the time of the break, what came before has been sent.
            let rest = stream::iter(end).then(async |error| {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                error
            });
            let mut response = Response::new(BoxBody::new(StreamBody::new(first.chain(rest))));
            *response.status_mut() = status;
            response
        }

        async fn serve(self: Arc<Self>, listener: TcpListener) {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let api = Arc::clone(&self);
                let service = service_fn(move |request| {
                    let response = api.answer(&request);
                    async move { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(async move {
                    let server = hyper::server::conn::http1::Builder::new();
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        }
    }

    fn batch(number: u32) -> String {
        let sample = |seq: u32| Sample {
            seq,
            due_ns: u64::from(seq) * PERIOD,
            class: Class::Answered,
            late_us: 60,
            sent_us: Some(60),
            ended_us: Some(300),
            cut: false,
        };
        let samples = (number * 10..number * 10 + 10).map(sample).collect();
        batch_lines(
            number.into(),
            u64::from(number * 10 + 10) * PERIOD,
            &[Part { flow: 0, planned: number * 10 + 10, samples }],
        )
        .0
        .concat()
    }

    /// Most of a line: what it says is wrong, though it reads as a whole one.
    fn half(line: &str) -> String {
        line[..line.len() - 3].to_owned()
    }

    #[tokio::test]
    async fn nothing_is_lost_or_doubled_by_streams_that_break_and_a_pod_that_dies() {
        let flow = flow(Kind::Packet, Protocol::Udp, Layer::L3);
        let start = start_line(&[Start { flow: flow.id.clone(), start_ns: 0, period_ns: PERIOD }]);
        let logs = [
            Answer::Waiting,
            Answer::Broken([start.clone(), batch(0), batch(1), half(&batch(2))].concat()),
            Answer::Lines([batch(1), half(&batch(2))].concat()),
            Answer::Lines(batch(2)),
            Answer::Lines([start, batch(0), batch(1), batch(2), batch(3)].concat()),
        ];
        let api = Arc::new(Api { logs: Mutex::new(logs.into()), asked: Mutex::default() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(Arc::clone(&api).serve(listener));
        let mut config = Config::new(url);
        config.default_retry = false;
        let pods = kube::Api::namespaced(Client::try_from(config).unwrap(), "seatrial-7");

        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::create(folder.path(), [flow]).unwrap());
        follow(pods, "client-1".into(), |line| store.take("client-1", line)).await;
        server.abort();

        let (samples, failure) = store.samples(40 * PERIOD);
        assert!(failure.is_none());
        assert_eq!(samples[0].fault, None);
        assert_eq!(samples[0].samples.len(), 40);
        assert!(samples[0].samples.iter().all(|sample| sample.ended_us == Some(300)));
        let asked = api.asked.lock().unwrap();
        assert_eq!(asked[..2], ["&follow=true", "&follow=true"]);
        assert!(asked[2].contains("sinceSeconds=2"), "{asked:?}");
        assert_eq!(asked[4], "", "the last reading is of the whole log");
    }
}
