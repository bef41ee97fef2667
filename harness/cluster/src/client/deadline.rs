//! A deadline for every request that is not a stream.
//!
//! A stopped API server keeps its connections open and never responds. A request without a deadline would wait forever.

use std::error::Error;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use tower::{Layer, Service};

type BoxError = Box<dyn Error + Send + Sync>;
type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// The API server did not respond in time.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not respond within {} s: {request}", after.as_secs_f64())]
struct NoResponse {
    request: String,
    after: Duration,
}

/// Adds the deadline to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestDeadline(pub(crate) Duration);

impl<S> Layer<S> for RequestDeadline {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, after: self.0 }
    }
}

/// A client whose requests have a deadline.
#[derive(Clone, Debug)]
pub(crate) struct Limited<S> {
    inner: S,
    after: Duration,
}

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let after = self.after;
        let streams = is_stream(&request);
        let line = format!("{} {}", request.method(), request.uri().path());
        let response = self.inner.call(request);
        async move {
            if streams {
                let response = response.await.map_err(Into::<BoxError>::into)?;
                return Ok(response.map(|body| body.map_err(Into::<BoxError>::into).boxed_unsync()));
            }
            let whole = async {
                let (parts, body) = response.await.map_err(Into::<BoxError>::into)?.into_parts();
                let body = body.collect().await.map_err(Into::<BoxError>::into)?.to_bytes();
                Ok::<_, BoxError>(Response::from_parts(parts, body))
            };
            let response = match tokio::time::timeout(after, whole).await {
                Ok(response) => response?,
                Err(_) => return Err(NoResponse { request: line, after }.into()),
            };
            Ok(response.map(|bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync()))
        }
        .boxed()
    }
}

/// Whether the response of a request goes on for as long as the client reads it.
fn is_stream(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name: &str| query.split('&').any(|pair| pair == name || pair == format!("{name}=true"));
    let watch = query.split('&').any(|pair| pair == "watch=1");
    watch || parameter("watch") || parameter("follow") || request.headers().contains_key(header::UPGRADE)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use rstest::rstest;

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(20);

    /// A server that accepts a request and never responds.
    fn hung() -> kube::Client {
        let never = tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
        });
        kube::Client::new(RequestDeadline(DEADLINE).layer(never), "default")
    }

    #[tokio::test]
    async fn request_without_a_response_fails_and_names_the_request() {
        let request = Request::get("/healthz").body(Vec::new()).unwrap();
        let error = hung().request_text(request).await.unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("GET /healthz") && text.contains("20ms"), "{text}");
    }

    #[rstest]
    #[case::watch("/api/v1/pods?watch=true&resourceVersion=1")]
    #[case::watch_by_number("/api/v1/pods?labelSelector=a&watch=1")]
    #[case::followed_log("/api/v1/namespaces/a/pods/b/log?follow=true")]
    #[tokio::test]
    async fn stream_has_no_deadline(#[case] uri: &str) {
        let request = Request::get(uri).body(Vec::new()).unwrap();
        let waits = tokio::time::timeout(3 * DEADLINE, hung().request_text(request)).await;
        assert!(waits.is_err(), "it fails: {waits:?}");
    }
}
