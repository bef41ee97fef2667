//! The endpoint for Prometheus, if `prometheus-serve-addr` is set.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::collect::Figures;
use super::config::{ConfigError, Settings};
use crate::behaviour::l7_metrics::{L7Metrics, Requests};
use crate::wait::pause;

const KEY: &str = "prometheus-serve-addr";
const RETRY: Duration = Duration::from_millis(200);

/// Where to listen, if anywhere; `:9090` is every address of the node.
pub(super) fn address(settings: &Settings) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(text) = settings.get(KEY).filter(|text| !text.is_empty()) else { return Ok(None) };
    let everywhere = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let everywhere = everywhere.map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    match everywhere.or_else(|| text.parse().ok()) {
        Some(address) => Ok(Some(address)),
        None => {
            Err(ConfigError::Value { key: KEY, value: text.to_owned(), expected: "an address such as :9090" })
        }
    }
}

/// The sources of metrics.
#[derive(Clone)]
pub(super) struct Sources {
    /// The names of those of the proxy.
    pub(super) l7: L7Metrics,
    /// What the proxy counts.
    pub(super) requests: Arc<Requests>,
    /// Collections of bounded tables, if any.
    pub(super) collected: Option<Arc<Figures>>,
}

impl Sources {
    async fn text(&self) -> String {
        let collected = match &self.collected {
            Some(figures) => figures.metrics().await,
            None => String::new(),
        };
        self.l7.render(&self.requests) + &collected
    }
}

/// Answers until the agent ends.
pub(super) async fn serve(address: SocketAddr, sources: Sources) {
    let listener = listen(address).await;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            pause(RETRY).await;
            continue;
        };
        let sources = sources.clone();
        let service = service_fn(move |request| {
            let sources = sources.clone();
            async move { Ok::<_, Infallible>(answer(&request, &sources).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// In the node's network the port may still belong to the agent that this one replaces.
async fn listen(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => tracing::warn!(%error, %address, "metrics cannot be served, retrying"),
        }
        pause(RETRY).await;
    }
}

async fn answer(request: &Request<Incoming>, sources: &Sources) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/metrics" => (StatusCode::OK, sources.text().await),
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    #[rstest]
    #[case::not_set(&[], Some(None))]
    #[case::empty(&[(KEY, "")], Some(None))]
    #[case::port(&[(KEY, ":9090")], Some(Some("0.0.0.0:9090")))]
    #[case::address(&[(KEY, "127.0.0.1:9090")], Some(Some("127.0.0.1:9090")))]
    #[case::word(&[(KEY, "on")], None)]
    fn addresses_are_read(#[case] settings: &[(&str, &str)], #[case] expected: Option<Option<&str>>) {
        let read = address(&settings.iter().copied().collect()).ok();
        assert_eq!(read, expected.map(|address| address.map(|it| it.parse().unwrap())));
    }

    #[tokio::test]
    async fn the_endpoint_counts_what_the_proxy_counts() {
        // No other test has this address, so the port stays free until the endpoint takes it.
        let free = TcpListener::bind("127.0.0.7:0").await.unwrap().local_addr().unwrap();
        let requests = Arc::new(Requests::default());
        let sources = Sources { l7: L7Metrics::ByName, requests: requests.clone(), collected: None };
        let server = tokio::spawn(serve(free, sources));
        requests.denied.add();
        let mut stream = loop {
            match TcpStream::connect(free).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200") && text.contains("cilium_policy_l7_denied_total 1"),
            "{text}"
        );
        server.abort();
    }
}
