//! One proxied connection: as long as the client's, and one to the pod that belongs to it alone.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, client, header, server};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::policy::ProxyPolicy;
use crate::behaviour::l7_metrics::Requests;

const DENIED: &str = "Access denied\r\n";
const CONNECT: Duration = Duration::from_secs(5);

type Body = Either<Incoming, Full<Bytes>>;

/// A connection that could not be relayed to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    /// A socket.
    #[error("a socket failed")]
    Io(#[from] io::Error),
    /// HTTP.
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
    /// Not a connection that the packet rules send here.
    #[error("{0} is not an IPv4 address")]
    Family(SocketAddr),
}

/// Relays requests that the policy allows; the others are answered here.
pub(super) async fn relay(
    client: TcpStream,
    policy: watch::Receiver<Arc<ProxyPolicy>>,
    requests: &Requests,
) -> Result<(), RelayError> {
    let source = *v4(client.peer_addr()?)?.ip();
    // The packet rules leave the destination in place: the local address is the pod's.
    let target = v4(client.local_addr()?)?;
    let pod = match timeout(CONNECT, TcpStream::connect(target)).await {
        Ok(Ok(pod)) => pod,
        failed => {
            // The client must see what it would see without a proxy: a connection that is refused.
            client.set_zero_linger()?;
            failed.map_err(io::Error::from)??;
            return Ok(());
        }
    };
    client.set_nodelay(true)?;
    pod.set_nodelay(true)?;
    let (sender, pod) =
        client::conn::http1::Builder::new().preserve_header_case(true).handshake(TokioIo::new(pod)).await?;
    let gate = Gate { source, target, policy, requests, pod: Mutex::new(sender) };
    let service = service_fn(|request| gate.answer(request));
    let mut server = pin!(
        server::conn::http1::Builder::new()
            .preserve_header_case(true)
            .serve_connection(TokioIo::new(client), service)
    );
    let mut pod = pin!(pod);
    tokio::select! {
        served = server.as_mut() => served.inspect_err(|error| {
            if error.is_parse() {
                requests.parse_errors.add();
            }
        })?,
        ended = pod.as_mut() => {
            server.as_mut().graceful_shutdown();
            server.await?;
            ended?;
        }
    }
    Ok(())
}

struct Gate<'a> {
    source: Ipv4Addr,
    target: SocketAddrV4,
    policy: watch::Receiver<Arc<ProxyPolicy>>,
    requests: &'a Requests,
    pod: Mutex<SendRequest<Incoming>>,
}

impl Gate<'_> {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        self.requests.received.add();
        let policy = self.policy.borrow().clone();
        if !policy.allows(self.source, self.target, request.method().as_str(), request.uri().path()) {
            self.requests.denied.add();
            return Ok(own_answer(StatusCode::FORBIDDEN, DENIED));
        }
        self.requests.forwarded.add();
        let mut pod = self.pod.lock().await;
        let answer = match pod.ready().await {
            Ok(()) => pod.send_request(request).await,
            Err(error) => Err(error),
        };
        Ok(match answer {
            Ok(response) => response.map(Either::Left),
            Err(error) => {
                let mut response = own_answer(StatusCode::SERVICE_UNAVAILABLE, &format!("{error}\r\n"));
                response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
                response
            }
        })
    }
}

fn own_answer(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::new(Bytes::copy_from_slice(text.as_bytes()))));
    *response.status_mut() = status;
    response
}

fn v4(address: SocketAddr) -> Result<SocketAddrV4, RelayError> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(RelayError::Family(address)),
    }
}
