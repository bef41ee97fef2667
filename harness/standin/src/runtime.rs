//! What the container runtime knows of a pod's sandbox: containerd's API on its socket, as far as labels need it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Where containerd listens, on the node and in the agent's pod alike.
pub(crate) const SOCKET: &str = "/run/containerd/containerd.sock";
/// The namespace of the kubelet's containers.
const NAMESPACE: &str = "k8s.io";
const GET: &str = "http://containerd/containerd.services.containers.v1.Containers/Get";
const TIMEOUT: Duration = Duration::from_secs(3);
/// The code of gRPC for something that does not exist.
const NOT_FOUND: &str = "5";

/// A request to the container runtime failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    /// No connection, or it broke.
    #[error(
        "the container runtime at {SOCKET} cannot be asked; mount its folder, or set container-runtime to none"
    )]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused.
    #[error("the container runtime answered {0}")]
    Refused(String),
    /// Its answer cannot be parsed.
    #[error("the container runtime's answer cannot be read")]
    Garbled,
}

/// The labels of a container; `None` while the runtime does not know it.
pub(crate) async fn labels(
    socket: &Path,
    container_id: &str,
) -> Result<Option<BTreeMap<String, String>>, RuntimeError> {
    let asked = timeout(TIMEOUT, ask(socket, container_id)).await;
    let (status, body) =
        asked.map_err(|late| RuntimeError::Unreachable(late.into()))?.map_err(RuntimeError::Unreachable)?;
    match status.as_str() {
        "0" => read_answer(&body).map(Some).ok_or(RuntimeError::Garbled),
        NOT_FOUND => Ok(None),
        code => Err(RuntimeError::Refused(format!("with gRPC code {code}"))),
    }
}

/// One call; returns the code of gRPC and the body.
async fn ask(
    socket: &Path,
    container_id: &str,
) -> Result<(String, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::post(GET)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header("containerd-namespace", NAMESPACE)
        .body(Full::new(Bytes::from(frame(&text_field(1, container_id)))))?;
    let response = sender.send_request(request).await?;
    let code = |headers: &hyper::HeaderMap| Some(headers.get("grpc-status")?.to_str().ok()?.to_owned());
    let at_once = code(response.headers());
    if response.status() != StatusCode::OK {
        return Err(format!("HTTP status {}", response.status()).into());
    }
    let collected = response.into_body().collect().await?;
    let later = collected.trailers().and_then(code);
    connection.abort();
    Ok((at_once.or(later).unwrap_or_default(), collected.to_bytes()))
}

/// A message as gRPC sends it: not compressed, with its length.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

/// A field of protocol buffers that holds text or a message.
fn text_field(number: u8, text: &str) -> Vec<u8> {
    [&[number << 3 | 2], varint(text.len()).as_slice(), text.as_bytes()].concat()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The labels (field 2, a map) of the container (field 1) in an answer.
fn read_answer(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let container = fields(body.get(5..)?)?.into_iter().find(|(number, _)| *number == 1)?.1;
    let entries = fields(container)?.into_iter().filter(|(number, _)| *number == 2);
    entries
        .map(|(_, entry)| {
            let parts = fields(entry)?;
            let text = |wanted| {
                let part = parts.iter().find(|(number, _)| *number == wanted);
                part.map_or(Some(String::new()), |(_, text)| String::from_utf8(text.to_vec()).ok())
            };
            Some((text(1)?, text(2)?))
        })
        .collect()
}

/// The fields of a message that hold text or messages; the others are passed over.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let length = match key & 7 {
            0 => {
                take_varint(&mut message)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(take_varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (value, rest) = message.split_at_checked(length)?;
        message = rest;
        if key & 7 == 2 {
            found.push((key >> 3, value));
        }
    }
    Some(found)
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    use hyper::body::{Frame, Incoming};
    use hyper::service::service_fn;
    use hyper::{HeaderMap, Response};
    use tokio::net::UnixListener;

    fn message_field(number: u8, message: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2], varint(message.len()).as_slice(), message].concat()
    }

    fn answer() -> Vec<u8> {
        let label = |key, value| message_field(2, &[text_field(1, key), text_field(2, value)].concat());
        let long = "x".repeat(200);
        let container = [
            text_field(1, "abc"),
            label("io.cri-containerd.kind", "sandbox"),
            label("long", &long),
            vec![0x48, 0x96, 0x01],
            text_field(3, "pause"),
        ];
        frame(&message_field(1, &container.concat()))
    }

    #[test]
    fn labels_are_read_from_among_other_fields() {
        let labels = read_answer(&answer()).unwrap();
        assert_eq!(labels["io.cri-containerd.kind"], "sandbox");
        assert_eq!(labels["long"].len(), 200);
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn half_an_answer_is_no_answer() {
        let answer = answer();
        assert_eq!(read_answer(&answer[..answer.len() - 3]), None);
        assert_eq!(read_answer(&[]), None);
    }

    /// A runtime that knows the container `abc` and no other.
    fn serve(socket: &Path) {
        let listener = UnixListener::bind(socket).unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service_fn(|request: Request<Incoming>| async move {
                    assert_eq!(request.headers()["containerd-namespace"], "k8s.io");
                    let asked = request.into_body().collect().await.unwrap().to_bytes();
                    let known = asked.ends_with(b"abc");
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", if known { "0" } else { "5" }.parse().unwrap());
                    let body = known.then(|| Ok::<_, Infallible>(Frame::data(Bytes::from(answer()))));
                    let frames = body.into_iter().chain([Ok(Frame::trailers(trailers))]);
                    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
                    Ok::<_, Infallible>(Response::new(body))
                });
                let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(served);
            }
        });
    }

    #[tokio::test]
    async fn a_container_is_asked_for_on_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("containerd.sock");
        serve(&socket);
        assert_eq!(labels(&socket, "abc").await.unwrap().unwrap().len(), 2);
        assert_eq!(labels(&socket, "other").await.unwrap(), None);
        assert!(matches!(labels(Path::new("/nonexistent"), "abc").await, Err(RuntimeError::Unreachable(_))));
    }
}
