//! The process of the server, in a pod.

use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

use super::zone::Zone;
use super::{PORT, answer};

type Shared = Arc<RwLock<Zone>>;

/// Serves until it gets a signal to end.
#[must_use]
pub fn run() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return ExitCode::FAILURE,
    };
    match runtime.block_on(serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!(error = %e, "the DNS server ended");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = kube::Config::incluster()?;
    config.default_retry = false;
    let client = kube::Client::try_from(config)?;
    let zone = Shared::default();
    let services = Api::<Service>::all(client.clone());
    let slices = Api::<EndpointSlice>::all(client);
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        () = follow(services, &zone, Zone::set_service, Zone::remove_service) => Ok(()),
        () = follow(slices, &zone, Zone::set_slice, Zone::remove_slice) => Ok(()),
        ended = udp(&zone) => Ok(ended?),
        ended = tcp(&zone) => Ok(ended?),
        _ = terminated.recv() => Ok(()),
    }
}

async fn follow<K>(api: Api<K>, zone: &Shared, set: fn(&mut Zone, K), remove: fn(&mut Zone, &K))
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut events = watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => set(&mut write(zone), object),
            Ok(Event::Delete(object)) => remove(&mut write(zone), &object),
            Ok(Event::Init | Event::InitDone) => {}
            Err(e) => {
                tracing::warn!(error = %e, "a watch was cut");
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the pause before a cut watch is opened again"
                )]
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

fn write(zone: &Shared) -> std::sync::RwLockWriteGuard<'_, Zone> {
    zone.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn reply(zone: &Shared, query: &[u8]) -> Option<Vec<u8>> {
    let zone = zone.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    answer::answer(&zone, query)
}

async fn udp(zone: &Shared) -> std::io::Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", PORT)).await?;
    let mut buffer = [0; 1232];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await?;
        if let Some(answer) = reply(zone, &buffer[..length])
            && let Err(e) = socket.send_to(&answer, client).await
        {
            tracing::debug!(error = %e, %client, "an answer could not be sent");
        }
    }
}

async fn tcp(zone: &Shared) -> std::io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, Arc::clone(zone)));
    }
}

async fn converse(mut stream: TcpStream, zone: Shared) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let Some(answer) = reply(&zone, &query) else { return Ok(()) };
        let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
        stream.write_u16(length).await?;
        stream.write_all(&answer).await?;
    }
}
