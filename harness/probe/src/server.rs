//! The probe server: it echoes UDP and TCP, and answers HTTP.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use model::Protocol;
use nix::sys::socket::{setsockopt, sockopt};
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::LocalSet;

use crate::exchange::{LONGEST, Listener, PRIVATE_PATH, PUBLIC_PATH, TOKEN_HEADER, Token};

/// The number of the loopback interface, in every network namespace.
const LOOPBACK: u32 = 1;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Receive buffer of a UDP socket, bytes: a datagram that the server reads late is not lost by the network. The kernel
/// has its own limit.
const BUFFER: usize = 4 << 20;

/// What a server serves, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Serving {
    /// The addresses that it adds to its host. It listens on no other one.
    pub(crate) own_addresses: Vec<Ipv4Addr>,
    /// The only address on which it listens; all of its host where there is none.
    pub(crate) listen_on: Option<IpAddr>,
    /// The token of the datagrams that it answers.
    pub(crate) token: Option<Token>,
    /// The ports.
    pub(crate) listeners: Vec<Listener>,
}

impl Serving {
    /// Returns the addresses on which it listens; `None` stands for all of the host.
    fn places(&self) -> Vec<Option<IpAddr>> {
        match self.own_addresses.as_slice() {
            [] => vec![self.listen_on],
            own => own.iter().map(|address| Some((*address).into())).collect(),
        }
    }
}

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The runtime does not start.
    #[error("the probe server cannot start its runtime")]
    Runtime(#[source] io::Error),
    /// An address cannot be added to the host.
    #[error("the address {address} cannot be added to the host; does the pod lack the capability NET_ADMIN?")]
    Address {
        /// The address.
        address: Ipv4Addr,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A port cannot be opened.
    #[error("the probe server cannot listen on {listener}{}; is the port taken on this host?", at(*.place))]
    Listen {
        /// The listener.
        listener: Listener,
        /// The only address.
        place: Option<IpAddr>,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// It would answer anybody.
    #[error("{0} needs the token of the run; write token: and 16 hexadecimal digits")]
    NoToken(Listener),
    /// The receive buffer cannot be set.
    #[error("the probe server cannot set a receive buffer of {BUFFER} bytes for UDP port {port}")]
    Buffer {
        /// The port.
        port: u16,
        /// The reason.
        #[source]
        source: nix::Error,
    },
}

/// Serves until `stop` resolves.
pub(crate) fn run(serving: &Serving, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServerError::Runtime)?;
    LocalSet::new().block_on(&runtime, async {
        for &address in &serving.own_addresses {
            add(address).await.map_err(|source| ServerError::Address { address, source })?;
        }
        for place in serving.places() {
            for &listener in &serving.listeners {
                serve(listener, place, serving.token)?;
            }
        }
        stop.await;
        Ok(())
    })
}

/// Starts to serve a port at a place.
fn serve(listener: Listener, place: Option<IpAddr>, token: Option<Token>) -> Result<(), ServerError> {
    let failed = |source| ServerError::Listen { listener, place, source };
    let streams = || streams(listener.port, place).map_err(failed);
    match listener.protocol {
        Protocol::Udp => {
            let token = token.ok_or(ServerError::NoToken(listener))?;
            let socket = datagrams(listener.port, place).map_err(failed)?;
            setsockopt(&socket, sockopt::RcvBuf, &BUFFER)
                .map_err(|source| ServerError::Buffer { port: listener.port, source })?;
            tokio::task::spawn_local(echo_datagrams(socket, token));
        }
        Protocol::Tcp => {
            tokio::task::spawn_local(accept(streams()?, echo_stream));
        }
        // The kernel answers ICMP.
        Protocol::Icmp => {}
        Protocol::Http => {
            tokio::task::spawn_local(accept(streams()?, answer_http));
        }
        Protocol::Http2 => {
            tokio::task::spawn_local(accept(streams()?, answer_http2));
        }
    }
    Ok(())
}

/// Names the only address on which a server listens.
fn at(place: Option<IpAddr>) -> String {
    place.map(|address| format!(" at {address}")).unwrap_or_default()
}

/// Opens a UDP socket at a place.
fn datagrams(port: u16, place: Option<IpAddr>) -> io::Result<UdpSocket> {
    UdpSocket::from_std(bound(SocketType::DGRAM, port, place)?.into())
}

/// Opens a TCP socket at a place.
fn streams(port: u16, place: Option<IpAddr>) -> io::Result<TcpListener> {
    let socket = bound(SocketType::STREAM, port, place)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Opens a socket at an address, or on every address, of both families if the kernel supports both.
fn bound(kind: SocketType, port: u16, place: Option<IpAddr>) -> io::Result<OwnedFd> {
    let open = |family| socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None);
    let (socket, address) = match place {
        Some(IpAddr::V4(address)) => (open(AddressFamily::INET)?, SocketAddr::from((address, port))),
        Some(IpAddr::V6(address)) => (open(AddressFamily::INET6)?, SocketAddr::from((address, port))),
        None => match open(AddressFamily::INET6) {
            Ok(socket) => {
                // IPv4 clients must reach it whatever the host's default is.
                set_ipv6_v6only(&socket, false)?;
                (socket, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
            }
            Err(Errno::AFNOSUPPORT) => {
                (open(AddressFamily::INET)?, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
            }
            Err(error) => return Err(error.into()),
        },
    };
    // A restarted server must not wait until connections of the previous one have timed out.
    set_socket_reuseaddr(&socket, kind == SocketType::STREAM)?;
    bind(&socket, &address)?;
    Ok(socket)
}

/// Adds an address to the loopback interface; the address may exist already.
async fn add(address: Ipv4Addr) -> io::Result<()> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::task::spawn_local(connection);
    handle.address().add(LOOPBACK, address.into(), 32).replace().execute().await.map_err(io::Error::other)
}

async fn echo_datagrams(socket: UdpSocket, token: Token) {
    let mut datagram = [0u8; LONGEST];
    loop {
        // Errors are ICMP messages about clients that have ended.
        if let Ok((length, client)) = socket.recv_from(&mut datagram).await
            && token.answer(&mut datagram[..length])
        {
            let _lost = socket.try_send_to(&datagram[..length], client);
        }
    }
}

async fn accept<F>(listener: TcpListener, serve: fn(TcpStream) -> F)
where
    F: Future<Output = ()> + 'static,
{
    loop {
        // The client reports a connection that ended before it was accepted.
        if let Ok((stream, _)) = listener.accept().await
            && stream.set_nodelay(true).is_ok()
        {
            tokio::task::spawn_local(serve(stream));
        }
    }
}

async fn echo_stream(mut stream: TcpStream) {
    let mut bytes = [0u8; 4096];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

async fn answer_http(stream: TcpStream) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
    // An error means that the client has closed the connection, and the client reports why.
    let _ended =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer_http2(stream: TcpStream) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
    let http2 = hyper::server::conn::http2::Builder::new(OwnThread);
    let _ended = http2.serve_connection(TokioIo::new(stream), service).await;
}

/// Runs the tasks of an HTTP/2 connection on the thread of the connection.
#[derive(Clone, Copy)]
struct OwnThread;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for OwnThread {
    fn execute(&self, work: F) {
        tokio::task::spawn_local(work);
    }
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let token = request.headers().get(TOKEN_HEADER).map(|value| Bytes::copy_from_slice(value.as_bytes()));
    let known = [PUBLIC_PATH, PRIVATE_PATH].contains(&request.uri().path());
    let mut response = Response::new(Full::new(token.unwrap_or_default()));
    if !known {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}
