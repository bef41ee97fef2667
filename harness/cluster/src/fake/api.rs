//! An API server in memory: a store of objects by path, and scripted responses.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};

/// A request that the API server received.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its query; empty without one.
    pub query: String,
    /// Its body; null without one.
    pub body: Value,
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The API server; clones share its state.
///
/// Objects are stored by path, as they are created, patched (the patch is merged) and replaced. A list has the objects
/// whose path is one segment longer. A watch never has an event. Scripted responses come before the store.
#[derive(Clone, Debug, Default)]
pub struct FakeApi {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Value>,
    script: BTreeMap<(String, String), VecDeque<(u16, Value)>>,
    calls: Vec<Call>,
}

impl FakeApi {
    /// A client for it.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.serve(request).await) }
        });
        kube::Client::new(service, "default")
    }

    /// Stores an object at a path.
    pub fn put(&self, path: &str, object: Value) {
        self.state().objects.insert(path.to_owned(), object);
    }

    /// Adds a response to requests with this method and path. Several come in order; the last one stays.
    pub fn respond(&self, method: &str, path: &str, status: u16, body: Value) {
        let key = (method.to_owned(), path.to_owned());
        self.state().script.entry(key).or_default().push_back((status, body));
    }

    /// The requests so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, request: Request<Body>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let (parts, body) = request.into_parts();
        // A body that cannot be read or is no JSON is recorded as null.
        let bytes = body.collect_bytes().await.unwrap_or_default();
        let call = Call {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        };
        if call.query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1") {
            self.state().calls.push(call);
            let never = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
            return Response::new(StreamBody::new(never).boxed_unsync());
        }
        let (status, body) = self.state().respond(call);
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed_unsync());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        response
    }
}

impl State {
    fn respond(&mut self, call: Call) -> (u16, Value) {
        let scripted = self.script.get_mut(&(call.method.clone(), call.path.clone()));
        let scripted = scripted.and_then(|responses| match responses.len() {
            0 | 1 => responses.front().cloned(),
            _ => responses.pop_front(),
        });
        let response = scripted.unwrap_or_else(|| self.store(&call));
        self.calls.push(call);
        response
    }

    fn store(&mut self, call: &Call) -> (u16, Value) {
        let path = call.path.as_str();
        match call.method.as_str() {
            "GET" => match self.objects.get(path) {
                Some(object) => (200, object.clone()),
                None => self.list(path),
            },
            "POST" => {
                let name = call.body["metadata"]["name"].as_str().unwrap_or("generated");
                self.objects.insert(format!("{path}/{name}"), call.body.clone());
                (201, call.body.clone())
            }
            "PUT" => {
                self.objects.insert(path.to_owned(), call.body.clone());
                (200, call.body.clone())
            }
            "PATCH" => {
                let object = self.objects.entry(path.to_owned()).or_insert_with(|| json!({}));
                merge(object, &call.body);
                (200, object.clone())
            }
            "DELETE" => match self.objects.remove(path) {
                Some(_) => (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
                None => not_found(path),
            },
            _ => not_found(path),
        }
    }

    /// The objects below a path; a path that looks like an object is not found.
    fn list(&self, path: &str) -> (u16, Value) {
        let below = format!("{path}/");
        let own = |(other, object): (&String, &Value)| {
            let name = other.strip_prefix(&below)?;
            (!name.contains('/')).then(|| object.clone())
        };
        let items: Vec<Value> = self.objects.iter().filter_map(own).collect();
        if items.is_empty() && !is_collection(path) {
            return not_found(path);
        }
        (
            200,
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}),
        )
    }
}

/// Whether a path ends in the name of a resource: collections and objects alternate after the version.
fn is_collection(path: &str) -> bool {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let resource = match segments.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => return false,
    };
    resource.len() % 2 == 1
}

fn not_found(path: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound",
        "message": format!("{path} not found"),
    });
    (404, status)
}

/// Merges a patch into an object; null removes a key.
fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    object.remove(key);
                } else {
                    merge(object.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}
