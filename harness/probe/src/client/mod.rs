//! The prober: an open loop on an absolute schedule.
//!
//! One thread. The scheduler waits on one timer, sends every datagram that has fallen due, hands every other probe to the
//! task of its flow, and has what was decided printed every 100 ms. A probe is due at start + k·period whatever became of
//! the ones before: a prober that was held up catches up, and the due times stay what they were.

mod arrival;
mod dns;
mod fresh;
mod held;
mod http2;
mod icmp;
mod keep_alive;
mod packet;
mod recorder;
mod source_port;
mod stream;

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;

pub(crate) use dns::look_up;
use rustix::process::setpriority_process;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::LocalSet;

use crate::clock::{self, Timer};
use crate::flow::{FlowSpec, Kind, Protocol};
use crate::wire::{self, Part, Start};
use recorder::{Ledger, Recorder};

/// Time between two batches.
const BATCH_NS: u64 = 100_000_000;
/// How nice the printer is to the thread that probes; both are alone with each other in their pod.
const PRINTER_NICE: i32 = 10;
/// Time from the start of the prober to its first probe: sockets are open by then.
const HEAD_START_NS: u64 = 50_000_000;
/// Flows are spread over their period in steps of this: together, for a wake-up costs more than a probe,
/// but not all of the slow ones at once, so that none waits long for its turn.
const SLOT_NS: u64 = 10_000_000;
/// With more flows than this the steps are smaller: a slot must be sent before the next one falls due.
const MANY_FLOWS: usize = 100;
const SMALL_SLOT_NS: u64 = 1_000_000;

/// The environment variable that holds a prober's flows as JSON.
pub(crate) const FLOWS_VARIABLE: &str = "SEATRIAL_FLOWS";

/// Why a prober cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Its flows cannot be read.
    #[error("{} does not hold flows; the harness sets it as JSON", FLOWS_VARIABLE)]
    Flows(#[source] serde_json::Error),
    /// A flow cannot be probed as described.
    #[error("flow {flow}: {why}")]
    Flow {
        /// Flow id.
        flow: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The runtime, the timer or a socket failed.
    #[error("the prober cannot {doing}")]
    System {
        /// What it was doing.
        doing: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// A probe that has fallen due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    seq: u32,
    at_ns: u64,
}

/// Probes `flows` until `stop` resolves, printing to `out`.
pub(crate) fn run(
    flows: Vec<FlowSpec>,
    out: impl Write + Send + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), ClientError> {
    let system = |doing| move |source| ClientError::System { doing, source };
    let (output, inbox) = mpsc::channel();
    let printer = thread::Builder::new()
        .name("printer".into())
        .spawn(move || {
            // Where both want the same core, probes come first.
            let _as_it_was = setpriority_process(None, PRINTER_NICE);
            print(inbox, out)
        })
        .map_err(system("start its printer"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start its runtime"))?;
    let result = LocalSet::new().block_on(&runtime, schedule(flows, output, stop));
    match printer.join() {
        Ok(printed) => result.and(printed.map_err(system("print its samples"))),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// What the printer is given.
enum Output {
    Start(Vec<Start>),
    Batch(Vec<Part>),
}

/// Writes and prints on a thread of its own: neither a full pipe nor many samples may hold the probes up.
fn print(inbox: mpsc::Receiver<Output>, mut out: impl Write) -> io::Result<()> {
    let mut batch = 0;
    for output in inbox {
        let lines = match output {
            Output::Start(flows) => vec![wire::start_line(&flows)],
            Output::Batch(parts) => {
                let (lines, next) = wire::batch_lines(batch, &parts);
                batch = next;
                lines
            }
        };
        for line in lines {
            out.write_all(line.as_bytes())?;
            out.flush()?;
        }
    }
    Ok(())
}

fn send(output: &mpsc::Sender<Output>, what: Output) -> Result<(), ClientError> {
    output.send(what).map_err(|_| ClientError::System {
        doing: "print its samples",
        source: io::ErrorKind::BrokenPipe.into(),
    })
}

/// Takes a probe that is due: sends it, or hands it to the task of its flow.
type Take = Box<dyn FnMut(Due)>;

struct Lane {
    due: Due,
    period_ns: u64,
    take: Take,
}

async fn schedule(
    flows: Vec<FlowSpec>,
    output: mpsc::Sender<Output>,
    stop: impl Future<Output = ()>,
) -> Result<(), ClientError> {
    let system = |doing| move |source| ClientError::System { doing, source };
    let timer = Timer::new().map_err(system("make its timer"))?;
    let start_ns = clock::now_ns() + HEAD_START_NS;
    let mut starts = Vec::new();
    let mut lanes = Vec::new();
    let ledger = Ledger::new(flows.len());
    let slot_ns = if flows.len() > MANY_FLOWS { SMALL_SLOT_NS } else { SLOT_NS };
    for (index, flow) in flows.into_iter().enumerate() {
        let period_ns = flow.period_ns;
        let slot = index as u64 % (period_ns / slot_ns).max(1);
        let due = Due { seq: 0, at_ns: start_ns + slot * slot_ns };
        starts.push(Start { flow: flow.id.clone(), start_ns: due.at_ns, period_ns });
        let take = begin(flow, ledger.recorder(index))?;
        lanes.push(Lane { due, period_ns, take });
    }
    send(&output, Output::Start(starts))?;

    let mut stop = std::pin::pin!(stop);
    let mut flush_ns = start_ns + BATCH_NS;
    loop {
        let next_ns = lanes.iter().map(|lane| lane.due.at_ns).min().unwrap_or(flush_ns).min(flush_ns);
        let stopped = tokio::select! {
            biased;
            () = &mut stop => true,
            fired = timer.until(next_ns) => { fired.map_err(system("wait for its timer"))?; false }
        };
        let now = clock::now_ns();
        for (index, lane) in lanes.iter_mut().enumerate() {
            while lane.due.at_ns <= now && !stopped {
                (lane.take)(lane.due);
                lane.due = Due { seq: lane.due.seq + 1, at_ns: lane.due.at_ns + lane.period_ns };
            }
            ledger.planned(index, lane.due.seq);
        }
        if now >= flush_ns || stopped {
            send(&output, Output::Batch(ledger.take()))?;
            while flush_ns <= now {
                flush_ns += BATCH_NS;
            }
        }
        if stopped {
            return Ok(());
        }
    }
}

/// Opens the socket of a flow, or starts its task.
fn begin(flow: FlowSpec, recorder: Recorder) -> Result<Take, ClientError> {
    let refuse = |flow: &FlowSpec, why| Err(ClientError::Flow { flow: flow.id.clone(), why });
    let Some(target) = flow.target() else { return refuse(&flow, "it has no address") };
    if flow.period_ns == 0 {
        return refuse(&flow, "its period is 0");
    }
    let (probes, inbox) = unbounded_channel();
    let socket = |doing| move |source| ClientError::System { doing, source };
    match (flow.kind, flow.protocol) {
        (Kind::Packet | Kind::Canary | Kind::Deny, Protocol::Udp) => {
            let own = packet::open(target).map_err(socket("open a UDP socket"))?;
            let udp = packet::Udp { bytes: flow.bytes.into() };
            return Ok(Box::new(packet::prober(flow, own, udp, recorder)));
        }
        (Kind::Packet, Protocol::Icmp) => {
            let (own, icmp) = icmp::open(target)
                .map_err(socket("open an ICMP socket; its container needs the capability NET_RAW"))?;
            return Ok(Box::new(packet::prober(flow, own, icmp, recorder)));
        }
        (Kind::Held, Protocol::Tcp) => {
            tokio::task::spawn_local(held::run::<stream::Echo>(flow, inbox, recorder));
        }
        (Kind::Held, Protocol::Http) => {
            tokio::task::spawn_local(held::run::<keep_alive::KeepAlive>(flow, inbox, recorder));
        }
        (Kind::Held, Protocol::Http2) => {
            tokio::task::spawn_local(held::run::<http2::Http2>(flow, inbox, recorder));
        }
        (Kind::Dns, Protocol::Udp | Protocol::Tcp) if !flow.query.as_ref().is_some_and(dns::can_ask) => {
            return refuse(&flow, "it has no name to ask for");
        }
        (Kind::New | Kind::Deny, Protocol::Tcp | Protocol::Http)
        | (Kind::Dns, Protocol::Udp | Protocol::Tcp) => {
            tokio::task::spawn_local(fresh::run(flow, target, inbox, recorder));
        }
        _ => return refuse(&flow, "its kind does not go with its protocol"),
    }
    Ok(Box::new(move |due| {
        // A task that ended by panic has taken the process's health with it; nothing to hand over.
        let _gone = probes.send(due);
    }))
}
