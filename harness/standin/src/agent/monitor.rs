//! The monitor's socket: dropped packets as lines, for every client.
//!
//! Events are queued in the kernel while a monitor is connected, or was connected when the last agent ended; a note on
//! the node records this, so that the next agent delivers the events queued meanwhile to monitors that reconnect.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, watch};

use super::Agent;
use super::config::{ConfigError, Settings};
use crate::chain;
use crate::datapath::events::{Dropped, Queue, Reason};
use crate::identity::WORLD;
use crate::wait::pause;

/// Where monitors connect, on the node and in the agent's pod alike.
pub(crate) const SOCKET: &str = "/var/run/cilium/monitor.sock";
/// The note that a monitor is connected.
const NOTE: &str = "/var/run/cilium/monitor";
/// How often the queue is emptied.
const EVERY: Duration = Duration::from_millis(500);
/// How long the agent waits for monitors of the last agent to reconnect.
const COME_BACK: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(500);
const DEFAULT_QUEUE: u32 = 4096;
/// Upstream's words for a packet whose connection found no place.
pub(super) const NO_PLACE: &str = "CT: Map insertion failed";

/// Events and the monitors that receive them.
pub(super) struct Monitor {
    queue: Queue,
    lines: broadcast::Sender<Arc<str>>,
    /// Whether events are queued.
    wanted: watch::Sender<bool>,
}

impl Monitor {
    /// Continues where the last agent stopped.
    pub(super) fn resume(settings: &Settings) -> Result<Self, ConfigError> {
        let size = settings.number("monitor-queue-size", DEFAULT_QUEUE)?.max(1);
        let wanted = watch::Sender::new(Path::new(NOTE).exists());
        Ok(Self { queue: Queue { size }, lines: broadcast::Sender::new(size as usize), wanted })
    }

    /// The queue that the packet rules need now.
    pub(super) fn queue(&self) -> Option<Queue> {
        self.wanted.borrow().then_some(self.queue)
    }

    fn want(&self, wanted: bool) -> io::Result<()> {
        if self.wanted.send_replace(wanted) == wanted {
            return Ok(());
        }
        match wanted {
            true => std::fs::write(NOTE, ""),
            false => std::fs::remove_file(NOTE),
        }
    }
}

impl Agent {
    /// Serves monitors until the agent ends.
    pub(super) async fn keep_monitoring(self: Arc<Self>) {
        let delivering = self.clone();
        tokio::spawn(async move { delivering.keep_delivering().await });
        let listener = loop {
            match super::api::listen(Path::new(SOCKET)) {
                Ok(listener) => break listener,
                Err(error) => tracing::warn!(%error, "the monitor's socket cannot be opened, retrying"),
            }
            pause(RETRY).await;
        };
        self.accept_monitors(listener).await;
    }

    async fn accept_monitors(&self, listener: UnixListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                pause(RETRY).await;
                continue;
            };
            let lines = self.monitor.lines.subscribe();
            tokio::spawn(async move {
                if let Err(error) = serve(stream, lines).await {
                    tracing::debug!(%error, "a monitor left");
                }
            });
            self.listen(true);
        }
    }

    fn listen(&self, wanted: bool) {
        if let Err(error) = self.monitor.want(wanted) {
            tracing::warn!(%error, "whether somebody monitors cannot be noted in {NOTE}");
        }
        self.changed();
    }

    /// Empties the queue while a monitor is connected; without monitors it is removed.
    async fn keep_delivering(&self) {
        let mut wanted = self.monitor.wanted.subscribe();
        let mut alone = Duration::ZERO;
        loop {
            // The sender lives in `self`.
            drop(wanted.wait_for(|wanted| *wanted).await);
            pause(EVERY).await;
            if self.monitor.lines.receiver_count() == 0 {
                alone += EVERY;
                if alone >= COME_BACK {
                    self.listen(false);
                }
                continue;
            }
            alone = Duration::ZERO;
            match self.monitor.queue.take().await {
                Ok((events, lost)) => self.deliver(&events, lost),
                // The queue exists once the first rules with it are in force.
                Err(error) => tracing::debug!(error = chain(&error), "no events could be taken"),
            }
        }
    }

    fn deliver(&self, events: &[Dropped], lost: u64) {
        let mut identities: BTreeMap<Ipv4Addr, u32> = BTreeMap::new();
        identities.extend(self.store.view().borrow().addresses.iter().map(|(ip, it)| (*ip, it.identity)));
        identities.extend(self.endpoints().all().iter().map(|endpoint| (endpoint.ip, endpoint.identity)));
        for line in events.iter().map(|event| said(event, &identities)).chain(lost_line(lost)) {
            // The last monitor may have disconnected.
            drop(self.monitor.lines.send(line.into()));
        }
    }
}

/// An event in upstream's words.
fn said(event: &Dropped, identities: &BTreeMap<Ipv4Addr, u32>) -> String {
    let identity = |ip| identities.get(&ip).copied().unwrap_or(WORLD);
    let ((from, sport), (to, dport)) = (event.from, event.to);
    let (source, target) = (identity(from), identity(to));
    let transport = event.transport;
    let reason = match event.reason {
        Reason::Policy => "Policy denied",
        Reason::NoPlace => NO_PLACE,
    };
    format!(
        "xx drop ({reason}) flow 0x0 to endpoint 0, identity {source}->{target}: {from}:{sport} -> {to}:{dport} {transport}"
    )
}

fn lost_line(lost: u64) -> Option<String> {
    (lost > 0).then(|| format!("Lost {lost} events"))
}

/// Writes lines until the monitor disconnects; a slow one gets the number of lines that it missed.
async fn serve(mut stream: UnixStream, mut lines: broadcast::Receiver<Arc<str>>) -> io::Result<()> {
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            // A monitor sends nothing, so this is the end of the connection.
            gone = stream.readable() => {
                gone?;
                let mut byte = [0];
                match stream.try_read(&mut byte) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => continue,
                }
            }
        };
        match line {
            Ok(line) => stream.write_all(format!("{line}\n").as_bytes()).await?,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                stream.write_all(format!("Lost {missed} events\n").as_bytes()).await?;
            }
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    #[tokio::test]
    async fn a_slow_monitor_is_told_what_it_missed() {
        let sender = broadcast::Sender::new(2);
        let receiver = sender.subscribe();
        for line in ["one", "two", "three", "four", "five"] {
            drop(sender.send(Arc::from(line)));
        }
        drop(sender);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        serve(ours, receiver).await.unwrap();
        let mut text = String::new();
        theirs.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "Lost 3 events\nfour\nfive\n");
    }

    #[tokio::test]
    async fn a_monitor_that_left_is_forgotten() {
        let sender = broadcast::Sender::new(2);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let serving = tokio::spawn(serve(ours, sender.subscribe()));
        drop(theirs);
        serving.await.unwrap().unwrap();
        assert_eq!(sender.receiver_count(), 0);
    }

    #[test]
    fn only_a_loss_is_told() {
        assert_eq!(lost_line(0), None);
        assert_eq!(lost_line(7).as_deref(), Some("Lost 7 events"));
    }
}
