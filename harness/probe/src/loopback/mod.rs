//! The whole way on real sockets: prober, server, lines, store, outages. Needs no root.

mod http2;
mod questions;
mod strangers;

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::{io, iter, process};

use model::{Class, Kind, Layer, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{oneshot, watch};

use crate::clock::{Timer, now_ns};
use crate::exchange::Listener;
use crate::flow::FlowSpec;
use crate::noise::Noise;
use crate::outage::{Outage, outages};
use crate::sample::FlowSamples;
use crate::server::{self, Serving};
use crate::store::Store;
use crate::{flow, prober};

const MS: u64 = 1_000_000;
const PERIOD: u64 = 10 * MS;
/// Below what Linux chooses from (`net.ipv4.ip_local_port_range`).
const PORTS: Range<u16> = 10_000..32_000;

/// The ports of a server under test, which no other test here has.
#[derive(Clone, Copy)]
struct Ports {
    udp: u16,
    tcp: u16,
    http: u16,
    http2: u16,
}

impl Ports {
    fn free() -> Self {
        let tcp = || free_port(|port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
        let udp = free_port(|port| std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
        Self { udp, tcp: tcp(), http: tcp(), http2: tcp() }
    }

    /// One flow of every kind that must be answered.
    fn flows(self) -> Vec<FlowSpec> {
        let flow = |kind, protocol, port, layer| {
            let id = format!("{kind}-{protocol}");
            FlowSpec { id, port, ..flow::tests::flow(kind, protocol, layer) }
        };
        vec![
            flow(Kind::Packet, Protocol::Udp, self.udp, Layer::L3),
            flow(Kind::Held, Protocol::Tcp, self.tcp, Layer::L4),
            flow(Kind::Held, Protocol::Http, self.http, Layer::L7),
            flow(Kind::Held, Protocol::Http2, self.http2, Layer::L7),
            flow(Kind::New, Protocol::Tcp, self.tcp, Layer::L4),
            flow(Kind::New, Protocol::Http, self.http, Layer::L7),
        ]
    }
}

/// A port that can be bound, and that is given out once. Those that the kernel chooses, for a test that lets it, are
/// higher: a port of theirs, closed again to be used in a moment, can by then be another's.
fn free_port(can_be_bound: impl Fn(u16) -> bool) -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let candidate = || {
        let at = process::id().wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        PORTS.start + (at % PORTS.len() as u32) as u16
    };
    iter::repeat_with(candidate).take(PORTS.len()).find(|port| can_be_bound(*port)).unwrap()
}

/// The real server on a thread of its own.
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    async fn start(ports: Ports) -> Self {
        let listener = |protocol, port| Listener { protocol, port };
        let listeners = [
            listener(Protocol::Udp, ports.udp),
            listener(Protocol::Tcp, ports.tcp),
            listener(Protocol::Http2, ports.http2),
            listener(Protocol::Http, ports.http),
        ];
        let serving = Serving {
            listeners: listeners.to_vec(),
            token: flow::tests::TOKEN.parse().ok(),
            ..Serving::default()
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || server::run(&serving, async { drop(stopped.await) }).unwrap());
        // HTTP listens last.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, ports.http)).await.is_err() {
            assert!(!thread.is_finished(), "the server ended");
            tokio::task::yield_now().await;
        }
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn pass(ms: u64) {
    Timer::new().unwrap().until(now_ns() + ms * MS).await.unwrap();
}

/// Probes `flows` while `during` goes on.
async fn measure(flows: Vec<FlowSpec>, during: impl Future<Output = ()>) -> Vec<FlowSamples> {
    let output = Output::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let prober = {
        let (flows, output) = (flows.clone(), output.clone());
        thread::spawn(move || prober::run(flows, output, async { drop(stopped.await) }).unwrap())
    };
    during.await;
    stop.send(()).unwrap();
    prober.join().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), flows).unwrap();
    let bytes = output.0.lock().unwrap().clone();
    std::str::from_utf8(&bytes).unwrap().lines().for_each(|line| store.take("client-1", line));
    let (samples, failure) = store.samples(now_ns());
    assert!(failure.is_none());
    samples
}

/// The one outage in `caused`, from and to, and that is not the machine's own doing: tests share it with builds.
fn only_outage(samples: &FlowSamples, caused: (u64, u64)) -> Outage {
    let noise = Noise::of(std::slice::from_ref(samples), 0, u64::MAX);
    let found = outages(&samples.flow, &samples.samples, &noise);
    let ours =
        |it: &Outage| it.first_bad_ns <= caused.1 && it.first_good_ns.is_none_or(|end| caused.0 <= end);
    let found: Vec<_> = found.into_iter().filter(|it| it.clear.is_some() || ours(it)).collect();
    assert_eq!(found.len(), 1, "{}: {found:#?}", samples.flow.id);
    found.into_iter().next().unwrap()
}

#[tokio::test]
async fn a_clean_run_shows_no_outage() {
    let ports = Ports::free();
    let server = Running::start(ports).await;
    let closed = FlowSpec {
        id: "deny-tcp".into(),
        port: Ports::free().tcp,
        ..flow::tests::flow(Kind::Deny, Protocol::Tcp, Layer::Policy)
    };
    let mut flows = ports.flows();
    flows.push(closed);
    let measured = measure(flows, pass(3_000)).await;
    server.stop();
    for samples in &measured {
        assert_eq!(samples.fault, None, "{}", samples.flow.id);
        let planned = samples.samples.len();
        assert!((265..=300).contains(&planned), "{}: {planned} probes in 3 s", samples.flow.id);
        let found = outages(&samples.flow, &samples.samples, &Noise::default());
        assert_eq!(found, [], "{}", samples.flow.id);
        assert_eq!(samples.samples.iter().filter(|sample| sample.cut).count(), 0);
    }
    let denied = &measured.last().unwrap().samples;
    assert!(denied.iter().all(|sample| sample.class == Class::Refused), "{:?}", denied.first());
}

#[tokio::test]
async fn a_server_that_is_gone_for_a_while_is_measured() {
    let ports = Ports::free();
    let server = Running::start(ports).await;
    let (mut outer, mut inner, mut caused) = (0, 0, (0, 0));
    let measured = measure(ports.flows(), async {
        pass(700).await;
        let going = now_ns();
        server.stop();
        let gone = now_ns();
        pass(500).await;
        let coming = now_ns();
        let server = Running::start(ports).await;
        caused = (going, now_ns());
        (outer, inner) = (caused.1 - going, coming - gone);
        pass(700).await;
        server.stop();
    })
    .await;
    for samples in &measured {
        // The prober outlives the server by a moment; what follows the last good sample is not the outage.
        let last_good = samples.samples.iter().rposition(|sample| sample.class.is_answer()).unwrap();
        let id = &samples.flow.id;
        let whole = FlowSamples { samples: samples.samples[..=last_good].to_vec(), ..samples.clone() };
        let outage = only_outage(&whole, caused);
        assert!(outage.min_ns() <= outer, "{id}: {outage:?}, at most {outer}");
        assert!(outage.max_ns().unwrap() >= inner, "{id}: {outage:?}, at least {inner}");
        assert!(outage.min_ns() >= inner - 100 * MS, "{id}: {outage:?}, at least {inner}");
        let held = samples.flow.kind == Kind::Held;
        assert_eq!(outage.connections_cut, u64::from(held), "{id}");
        // A datagram can lie unread in the socket that is closed: lost, and nobody says so.
        let told = matches!(outage.class, Class::Reset | Class::Closed | Class::Refused);
        assert!(told || samples.flow.kind == Kind::Packet, "{id}: {}", outage.class);
        let refused = samples.samples.iter().filter(|sample| sample.class == Class::Refused).count();
        assert!(refused >= 30, "{id}: {refused} refused");
    }
}

/// Forwards bytes between a client and a server, and holds them back while it is muted.
async fn forward(port: u16, upstream: SocketAddr, muted: watch::Receiver<bool>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(upstream).await.unwrap();
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::spawn(pump(near_in, far_out, muted.clone()));
        tokio::spawn(pump(far_in, near_out, muted.clone()));
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut muted: watch::Receiver<bool>) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if muted.wait_for(|muted| !muted).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

/// Echoes datagrams, and drops them while it is muted.
async fn echo_unless(port: u16, muted: watch::Receiver<bool>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let mut bytes = [0; 2048];
    loop {
        let (length, client) = socket.recv_from(&mut bytes).await.unwrap();
        if !*muted.borrow() {
            socket.send_to(&bytes[..length], client).await.unwrap();
        }
    }
}

#[tokio::test]
async fn silence_is_loss_for_packets_and_a_stall_for_held_connections() {
    let (ports, behind) = (Ports::free(), Ports::free());
    let server = Running::start(behind).await;
    let (mute, muted) = watch::channel(false);
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let doubles = [
        tokio::spawn(echo_unless(ports.udp, muted.clone())),
        tokio::spawn(forward(ports.tcp, local(behind.tcp), muted.clone())),
        tokio::spawn(forward(ports.http, local(behind.http), muted.clone())),
        tokio::spawn(forward(ports.http2, local(behind.http2), muted)),
    ];
    let (mut outer, mut inner, mut caused) = (0, 0, (0, 0));
    let measured = measure(ports.flows(), async {
        pass(500).await;
        let muting = now_ns();
        mute.send(true).unwrap();
        let silent = now_ns();
        pass(600).await;
        let unmuting = now_ns();
        mute.send(false).unwrap();
        caused = (muting, now_ns());
        (outer, inner) = (caused.1 - muting, unmuting - silent);
        pass(600).await;
    })
    .await;
    doubles.iter().for_each(|double| double.abort());
    server.stop();
    for samples in &measured {
        let (id, outage) = (&samples.flow.id, only_outage(samples, caused));
        let (kind, deadline) = (samples.flow.kind, samples.flow.deadline_ns);
        let expected = if kind == Kind::Held { Class::Stalled } else { Class::Lost };
        assert_eq!((outage.class, outage.connections_cut), (expected, 0), "{id}: {outage:?}");
        assert!(outage.min_ns() <= outer + PERIOD, "{id}: {outage:?}, at most {outer}");
        assert!(outage.max_ns().unwrap() >= inner, "{id}: {outage:?}, at least {inner}");
        // What was due less than a deadline before the end is answered in time after all, but for datagrams.
        let answered_late = if kind == Kind::Packet { 0 } else { deadline };
        assert!(outage.min_ns() + answered_late + 100 * MS >= inner, "{id}: {outage:?}, at least {inner}");
    }
}

#[test]
fn a_flow_that_cannot_be_probed_is_refused_by_name() {
    let nowhere = FlowSpec { address: None, ..flow::tests::flow(Kind::New, Protocol::Tcp, Layer::L4) };
    let error = prober::run(vec![nowhere], io::sink(), pending()).unwrap_err().to_string();
    assert_eq!(error, "flow new-tcp/cross-node/pod-ip/no-policy: it has no address");
}
