//! HTTP/1.1 keep-alive: one request at a time on one connection, with no pool and no hidden retry.

use std::error::Error as _;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use model::Class;
use tokio::net::TcpStream;

use super::held::{Answer, Link};
use super::{failure, stream};
use crate::exchange::TOKEN_HEADER;
use crate::flow::FlowSpec;

type Body = Empty<Bytes>;
type Connection = http1::Connection<TokioIo<TcpStream>, Body>;
type Exchange = Pin<Box<dyn Future<Output = hyper::Result<Answer>>>>;

/// An HTTP connection; it advances only while [`Link::answer`] is awaited.
pub(crate) struct KeepAlive {
    flow: Rc<FlowSpec>,
    sender: http1::SendRequest<Body>,
    connection: Connection,
    exchange: Option<Exchange>,
}

impl KeepAlive {
    /// Uses an open connection.
    pub(crate) async fn over(stream: TcpStream, flow: Rc<FlowSpec>) -> Result<Self, Class> {
        let made = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| class_of(&error))?;
        Ok(Self { flow, sender, connection, exchange: None })
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Class>> {
        let ended = match Pin::new(&mut self.connection).poll(cx) {
            Poll::Pending => None,
            Poll::Ready(Ok(())) => Some(Class::Closed),
            Poll::Ready(Err(error)) => Some(class_of(&error)),
        };
        if let Some(exchange) = &mut self.exchange
            && let Poll::Ready(result) = exchange.as_mut().poll(cx)
        {
            self.exchange = None;
            // The library reports a socket's error to the request or to the connection, not to both.
            return Poll::Ready(result.map_err(|error| match class_of(&error) {
                Class::Closed => ended.unwrap_or(Class::Closed),
                class => class,
            }));
        }
        ended.map_or(Poll::Pending, |class| Poll::Ready(Err(class)))
    }
}

impl Link for KeepAlive {
    async fn open(flow: Rc<FlowSpec>, target: SocketAddr) -> Result<Self, Class> {
        let stream = stream::connect(target).await.map_err(|error| failure::class_of(&error))?;
        Self::over(stream, flow).await
    }

    fn is_free(&self) -> bool {
        self.exchange.is_none()
    }

    fn send(&mut self, seq: u32) -> Result<(), Class> {
        let token = seq.to_string();
        let (host, path) = self.flow.http_target();
        let request = Request::get(path).header(hyper::header::HOST, host).header(TOKEN_HEADER, &token);
        let request = request.body(Empty::new()).map_err(|_| Class::Unreachable)?;
        let response = self.sender.send_request(request);
        self.exchange = Some(Box::pin(async move {
            let response = response.await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok(match status {
                StatusCode::OK if body == token.as_bytes() => Answer::Right,
                StatusCode::OK => Answer::Other(Class::WrongAnswer),
                status => Answer::Other(Class::Http(status.as_u16())),
            })
        }));
        Ok(())
    }

    async fn answer(&mut self) -> Result<Answer, Class> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }
}

/// Returns the class of an HTTP library error, by the socket error that caused it.
fn class_of(error: &hyper::Error) -> Class {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return failure::class_of(io);
        }
        source = cause.source();
    }
    if error.is_parse() { Class::WrongAnswer } else { Class::Closed }
}
