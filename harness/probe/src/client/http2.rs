//! HTTP/2 without TLS: one request at a time on one connection, with no pool and no hidden retry.
//!
//! The end of a connection has the class of its socket: reset or closed. Without an error of the socket, the protocol
//! decides: a GOAWAY closes, and bytes that are not HTTP/2 are a wrong answer. A request that the server resets
//! (RST_STREAM) is `refused` when the server had not started on it and `reset` otherwise, and the connection stays open.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::Reason;
use h2::client::{Connection, ResponseFuture, SendRequest};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use model::Class;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::held::{Answer, Link};
use super::{failure, stream};
use crate::exchange::TOKEN_HEADER;
use crate::flow::FlowSpec;

type Exchange = Pin<Box<dyn Future<Output = Result<Answer, h2::Error>>>>;

/// An HTTP/2 connection; it advances only while [`Link::answer`] is awaited.
pub(crate) struct Http2 {
    flow: Rc<FlowSpec>,
    sender: SendRequest<Bytes>,
    connection: Connection<Watched, Bytes>,
    socket: Ended,
    exchange: Option<Exchange>,
}

impl Http2 {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Class>> {
        let ended = match Pin::new(&mut self.connection).poll(cx) {
            Poll::Pending => None,
            Poll::Ready(ended) => Some(self.socket.class_of(ended.err().as_ref())),
        };
        if let Some(exchange) = &mut self.exchange
            && let Poll::Ready(answer) = exchange.as_mut().poll(cx)
        {
            self.exchange = None;
            return Poll::Ready(answer.or_else(|error| match (ended, error.reason()) {
                (Some(class), _) => Err(class),
                (None, Some(reason)) if error.is_reset() && error.is_remote() => {
                    let refused = reason == Reason::REFUSED_STREAM;
                    Ok(Answer::Other(if refused { Class::Refused } else { Class::Reset }))
                }
                (None, _) => Err(self.socket.class_of(Some(&error))),
            }));
        }
        ended.map_or(Poll::Pending, |class| Poll::Ready(Err(class)))
    }
}

impl Link for Http2 {
    async fn open(flow: Rc<FlowSpec>, target: SocketAddr) -> Result<Self, Class> {
        let stream = stream::connect(target).await.map_err(|error| failure::class_of(&error))?;
        let socket = Ended::default();
        let watched = Watched { stream, ended: socket.clone() };
        let made = h2::client::handshake(watched).await;
        let (sender, connection) = made.map_err(|error| socket.class_of(Some(&error)))?;
        Ok(Self { flow, sender, connection, socket, exchange: None })
    }

    fn is_free(&self) -> bool {
        self.exchange.is_none()
    }

    fn send(&mut self, seq: u32) -> Result<(), Class> {
        let token = seq.to_string();
        let (host, path) = self.flow.http_target();
        let request = Request::get(format!("http://{host}{path}")).header(TOKEN_HEADER, &token).body(());
        let request = request.map_err(|_| Class::Unreachable)?;
        let sent = self.sender.send_request(request, true);
        let (response, _no_body) = sent.map_err(|error| self.socket.class_of(Some(&error)))?;
        self.exchange = Some(Box::pin(answer(response, token)));
        Ok(())
    }

    async fn answer(&mut self) -> Result<Answer, Class> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }
}

/// Waits for the whole answer to a request, and checks it.
async fn answer(response: ResponseFuture, token: String) -> Result<Answer, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let mut said = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        said.extend_from_slice(&data);
        // Otherwise the server must stop after 64 KiB of all answers together.
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(match head.status {
        StatusCode::OK if said == token.as_bytes() => Answer::Right,
        StatusCode::OK => Answer::Other(Class::WrongAnswer),
        status => Answer::Other(Class::Http(status.as_u16())),
    })
}

/// The first reported end of a socket.
#[derive(Clone, Default)]
struct Ended(Rc<Cell<Option<Class>>>);

impl Ended {
    fn note(&self, class: Class) {
        self.0.set(self.0.get().or(Some(class)));
    }

    /// Returns the class of a connection's end; the library does not always report whether the socket was closed or broke.
    fn class_of(&self, error: Option<&h2::Error>) -> Class {
        let said = || match error {
            Some(error) if error.is_library() => Class::WrongAnswer,
            Some(error) => error.get_io().map_or(Class::Closed, failure::class_of),
            None => Class::Closed,
        };
        self.0.get().unwrap_or_else(said)
    }
}

/// A socket that records how it ended.
struct Watched {
    stream: TcpStream,
    ended: Ended,
}

impl Watched {
    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| self.ended.note(failure::class_of(error)))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (into.filled().len(), into.remaining());
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, into));
        if read.is_ok() && room > 0 && into.filled().len() == before {
            self.ended.note(Class::Closed);
        }
        Poll::Ready(self.noted(read))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, from));
        Poll::Ready(self.noted(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
