//! The proxy: HTTP to pods, and questions of pods to the DNS.
//!
//! It lives and dies with the agent's process, as upstream's does in these versions: when the agent stops, connections
//! through the proxy are cut, and new ones are refused by the packet rules until the next agent listens.

pub(crate) mod dns;
mod http;
pub(crate) mod policy;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::behaviour::l7_metrics::Requests;
use crate::wait::pause;
use policy::ProxyPolicy;

/// The ports that upstream's proxies use.
const PORTS: RangeInclusive<u16> = 10000..=20000;
const BACKLOG: i32 = 1024;
const RETRY: Duration = Duration::from_millis(10);

/// A listening proxy.
pub(crate) struct Proxy {
    port: u16,
    policy: watch::Sender<Arc<ProxyPolicy>>,
    requests: Arc<Requests>,
}

impl Proxy {
    /// Listens on the first free port and serves, or takes connections and is silent; until a policy is set, everything is
    /// denied.
    pub(crate) fn start(silent: bool) -> io::Result<Self> {
        let (listener, port) = bind()?;
        let policy = watch::Sender::default();
        let requests = Arc::new(Requests::default());
        tokio::spawn(accept(listener, policy.subscribe(), requests.clone(), silent));
        Ok(Self { port, policy, requests })
    }

    /// Starts the DNS proxy; returns its port and the channel of answers to pods.
    pub(crate) fn listen_to_questions(&self) -> io::Result<(u16, mpsc::Receiver<dns::Told>)> {
        dns::start(self.policy.subscribe())
    }

    /// The port on the loopback address.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What became of the requests so far.
    pub(crate) fn requests(&self) -> Arc<Requests> {
        self.requests.clone()
    }

    /// Sets the policy for future requests, including those on existing connections.
    pub(crate) fn set_policy(&self, policy: ProxyPolicy) {
        self.policy.send_replace(Arc::new(policy));
    }
}

/// Binds a socket that may take connections meant for other addresses.
fn bind() -> io::Result<(TcpListener, u16)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in PORTS {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
        socket.set_ip_transparent_v4(true)?;
        socket.set_reuse_address(true)?;
        match socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()) {
            Ok(()) => {
                socket.listen(BACKLOG)?;
                return Ok((TcpListener::from_std(socket.into())?, port));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn accept(
    listener: TcpListener,
    policy: watch::Receiver<Arc<ProxyPolicy>>,
    requests: Arc<Requests>,
    silent: bool,
) {
    let mut unanswered = Vec::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) if silent => unanswered.push(stream),
            Ok((stream, _)) => {
                let (policy, requests) = (policy.clone(), requests.clone());
                tokio::spawn(async move {
                    if let Err(error) = http::relay(stream, policy, &requests).await {
                        tracing::debug!(%error, "a proxied connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the proxy could not accept a connection");
                pause(RETRY).await;
            }
        }
    }
}
