//! The operator: it answers health checks. The stand-in leaves nothing behind that an operator would have to collect.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::wait::pause;

const HEALTH_PORT: u16 = 9234;
const RETRY: Duration = Duration::from_millis(500);

/// Runs the operator.
pub(crate) async fn run() -> io::Result<()> {
    let listener = listen().await;
    tracing::info!("ready");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream))),
            Err(error) => tracing::warn!(%error, "a health check was dropped"),
        }
    }
}

/// In the node's network the port may still belong to the operator that this one replaces.
async fn listen() -> TcpListener {
    loop {
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, HEALTH_PORT)).await {
            Ok(listener) => return listener,
            Err(error) => tracing::warn!(%error, port = HEALTH_PORT, "cannot listen, retrying"),
        }
        pause(RETRY).await;
    }
}

/// Every request is answered alike: the operator is healthy if it answers.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0; 1024];
    if stream.read(&mut request).await? > 0 {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await?;
    }
    Ok(())
}
