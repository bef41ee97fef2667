//! Answers to health checks over HTTP.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::wait::pause;

const RETRY: Duration = Duration::from_millis(500);

/// Answers on a port for ever. In the node's network it may still belong to the process that this one replaces.
pub(crate) async fn serve(port: u16, healthy: impl Fn() -> bool) {
    let listener = loop {
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
            Ok(listener) => break listener,
            Err(error) => tracing::warn!(%error, port, "cannot listen, retrying"),
        }
        pause(RETRY).await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream, healthy()))),
            Err(error) => tracing::warn!(%error, "a health check was dropped"),
        }
    }
}

/// Every request is answered alike.
async fn answer(mut stream: TcpStream, healthy: bool) -> io::Result<()> {
    let mut request = [0; 1024];
    if stream.read(&mut request).await? > 0 {
        let status = if healthy { "200 OK" } else { "503 Service Unavailable" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
