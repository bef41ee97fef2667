//! A small client of etcd's JSON gateway.

mod config;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use config::Endpoint;

const TIMEOUT: Duration = Duration::from_secs(3);

/// A kvstore that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EtcdError {
    /// No option names the file.
    #[error("the kvstore is not configured; set kvstore-opt to etcd.config=FILE")]
    Unconfigured,
    /// Its configuration file, or a file that it names.
    #[error("{} of the kvstore's configuration cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The contents of the file.
    #[error("the kvstore's configuration {} is not valid: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No answer.
    #[error("the kvstore at {endpoint} cannot be reached: {reason}")]
    Unreachable {
        /// Its address.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// An answer that makes no sense.
    #[error("the kvstore answered {0}")]
    Answer(String),
}

/// A client; every request has its own connection.
#[derive(Clone, Debug)]
pub(crate) struct Etcd {
    endpoints: Vec<Endpoint>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Put(KeyValue),
    Delete(String),
}

impl Etcd {
    /// Reads the endpoints from etcd's configuration file, and the certificates that it names.
    pub(crate) fn from_file(path: Option<PathBuf>) -> Result<Self, EtcdError> {
        let endpoints = config::read(&path.ok_or(EtcdError::Unconfigured)?)?;
        Ok(Self { endpoints })
    }

    /// Everything under `prefix`, with the revision that it was read at.
    pub(crate) async fn list(&self, prefix: &str) -> Result<(i64, Vec<KeyValue>), EtcdError> {
        let answer = self.ask("/v3/kv/range", &range(prefix)).await?;
        let kvs = answer.get("kvs").and_then(Value::as_array).into_iter().flatten();
        Ok((revision(&answer)?, kvs.map(key_value).collect::<Result<_, _>>()?))
    }

    /// The value of `key`.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<String>, EtcdError> {
        let answer = self.ask("/v3/kv/range", &json!({"key": encode(key)})).await?;
        let found = answer.get("kvs").and_then(|kvs| kvs.get(0));
        found.map(|kv| key_value(kv).map(|it| it.value)).transpose()
    }

    /// Sets `key`.
    pub(crate) async fn put(&self, key: &str, value: &str) -> Result<(), EtcdError> {
        self.ask("/v3/kv/put", &json!({"key": encode(key), "value": encode(value)})).await?;
        Ok(())
    }

    /// Removes `key`.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), EtcdError> {
        self.ask("/v3/kv/deleterange", &json!({"key": encode(key)})).await?;
        Ok(())
    }

    /// Sets all of `pairs` if none of the keys exists; returns whether it did.
    pub(crate) async fn create(&self, pairs: &[(&str, &str)]) -> Result<bool, EtcdError> {
        let absent = |(key, _): &(&str, &str)| json!({"key": encode(key), "target": "CREATE", "result": "EQUAL", "create_revision": "0"});
        let put = |(key, value): &(&str, &str)| json!({"request_put": {"key": encode(key), "value": encode(value)}});
        let compare: Vec<Value> = pairs.iter().map(absent).collect();
        let success: Vec<Value> = pairs.iter().map(put).collect();
        let answer = self.ask("/v3/kv/txn", &json!({"compare": compare, "success": success})).await?;
        Ok(answer.get("succeeded").and_then(Value::as_bool).unwrap_or(false))
    }

    /// Watches `prefix` after `revision`.
    pub(crate) async fn watch(&self, prefix: &str, revision: i64) -> Result<Watch, EtcdError> {
        let mut create = range(prefix);
        create["start_revision"] = json!((revision + 1).to_string());
        let (endpoint, response) = self.send("/v3/watch", &json!({"create_request": create})).await?;
        Ok(Watch { endpoint, body: response.into_body(), buffer: Vec::new() })
    }

    async fn ask(&self, path: &str, body: &Value) -> Result<Value, EtcdError> {
        let (endpoint, response) = self.send(path, body).await?;
        let status = response.status();
        let body = timeout(TIMEOUT, response.into_body().collect());
        let body = body.await.map_err(|_| unreachable(&endpoint, "it stopped answering"))?;
        let body = body.map_err(|error| unreachable(&endpoint, error))?.to_bytes();
        match status {
            StatusCode::OK => {
                serde_json::from_slice(&body).map_err(|error| EtcdError::Answer(error.to_string()))
            }
            _ => Err(EtcdError::Answer(format!("{status}: {}", String::from_utf8_lossy(&body)))),
        }
    }

    /// Sends a request to one member after the other until one answers.
    async fn send(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(String, Response<Incoming>), EtcdError> {
        let body = serde_json::to_vec(body).map_err(|error| EtcdError::Answer(error.to_string()))?;
        let mut last = EtcdError::Unconfigured;
        for endpoint in &self.endpoints {
            match timeout(TIMEOUT, post(endpoint, path, body.clone())).await {
                Ok(Ok(response)) => return Ok((endpoint.url().to_owned(), response)),
                Ok(Err(reason)) => last = unreachable(endpoint.url(), reason),
                Err(_) => last = unreachable(endpoint.url(), "no answer in time"),
            }
        }
        Err(last)
    }
}

/// A running watch.
pub(crate) struct Watch {
    endpoint: String,
    body: Incoming,
    buffer: Vec<u8>,
}

impl Watch {
    /// The next changes; an error when the watch has ended.
    pub(crate) async fn next(&mut self) -> Result<Vec<Change>, EtcdError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return changes(&line);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(unreachable(&self.endpoint, error)),
                None => return Err(unreachable(&self.endpoint, "the watch ended")),
            }
        }
    }
}

async fn post(
    endpoint: &Endpoint,
    path: &str,
    body: Vec<u8>,
) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let stream = endpoint.connect().await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, endpoint.address())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    Ok(sender.send_request(request).await?)
}

fn unreachable(endpoint: &str, reason: impl ToString) -> EtcdError {
    EtcdError::Unreachable { endpoint: endpoint.to_owned(), reason: reason.to_string() }
}

/// The gateway's form of "every key that begins with `prefix`".
fn range(prefix: &str) -> Value {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    json!({"key": encode(prefix), "range_end": BASE64_STANDARD.encode(end)})
}

fn encode(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

fn decode(value: Option<&Value>) -> Result<String, EtcdError> {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| EtcdError::Answer(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| EtcdError::Answer(error.to_string()))
}

fn key_value(kv: &Value) -> Result<KeyValue, EtcdError> {
    Ok(KeyValue { key: decode(kv.get("key"))?, value: decode(kv.get("value"))? })
}

fn revision(answer: &Value) -> Result<i64, EtcdError> {
    let text = answer.pointer("/header/revision").and_then(Value::as_str);
    text.and_then(|it| it.parse().ok()).ok_or_else(|| EtcdError::Answer(format!("no revision in {answer}")))
}

fn changes(line: &[u8]) -> Result<Vec<Change>, EtcdError> {
    let answer: Value = serde_json::from_slice(line).map_err(|error| EtcdError::Answer(error.to_string()))?;
    let result = answer.get("result").ok_or_else(|| EtcdError::Answer(answer.to_string()))?;
    if result.get("canceled").and_then(Value::as_bool) == Some(true) {
        return Err(EtcdError::Answer(format!("the watch was cancelled: {result}")));
    }
    let change = |event: &Value| {
        let kv = event.get("kv").map(key_value).transpose()?;
        let kv = kv.ok_or_else(|| EtcdError::Answer(format!("an event without a key: {event}")))?;
        Ok(match event.get("type").and_then(Value::as_str) {
            Some("DELETE") => Change::Delete(kv.key),
            _ => Change::Put(kv),
        })
    };
    result.get("events").and_then(Value::as_array).into_iter().flatten().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watch_lines_become_changes() {
        let put = json!({"kv": {"key": encode("a/b"), "value": encode("1")}});
        let delete = json!({"type": "DELETE", "kv": {"key": encode("a/c")}});
        let line = json!({"result": {"header": {}, "events": [put, delete]}}).to_string();
        assert_eq!(
            changes(line.as_bytes()).unwrap(),
            [Change::Put(KeyValue { key: "a/b".into(), value: "1".into() }), Change::Delete("a/c".into())]
        );
    }

    #[test]
    fn a_cancelled_watch_is_an_error() {
        assert!(changes(br#"{"result": {"canceled": true, "compact_revision": "9"}}"#).is_err());
    }
}
