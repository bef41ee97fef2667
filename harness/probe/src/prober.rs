//! The prober: an open loop on an absolute schedule.
//!
//! One thread waits on one timer, hands every probe that has fallen due to its flow, and has the results printed every
//! 100 ms. Probe k is due at start + k · period whatever became of the ones before: a prober that was late catches up,
//! and the due times stay the same.

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;

use rustix::process::setpriority_process;
use tokio::task::LocalSet;

use crate::client::recorder::{Ledger, Recorder};
use crate::client::{ClientError, Due, OnDue};
use crate::clock::{self, Timer};
use crate::flow::FlowSpec;
use crate::kinds;
use crate::wire::{self, Part, Start};

/// Time between two batches, ns.
const BATCH_NS: u64 = 100_000_000;
/// Nice value of the printer, relative to the thread that probes.
const PRINTER_NICE: i32 = 10;
/// Time from the start of the prober to its first probe, ns: sockets are open by then.
const HEAD_START_NS: u64 = 50_000_000;
/// Flows are spread over their period in steps of this, ns: a wake-up costs more than a probe, so several share one, but
/// all slow flows together would wait for each other.
const SLOT_NS: u64 = 10_000_000;
/// With more flows than this the steps are smaller, so that a slot is sent before the next one falls due.
const MANY_FLOWS: usize = 100;
const SMALL_SLOT_NS: u64 = 1_000_000;

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
            // On one core, probes come first.
            let _previous = setpriority_process(None, PRINTER_NICE);
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

/// The input of the printer.
enum Output {
    Start(Vec<Start>),
    Batch {
        /// The time up to which the record is complete, ns after the start of flow 0.
        elapsed_ns: u64,
        parts: Vec<Part>,
    },
}

/// Encodes and prints on its own thread: neither a full pipe nor many samples may delay probes.
fn print(inbox: mpsc::Receiver<Output>, mut out: impl Write) -> io::Result<()> {
    let mut batch = 0;
    for output in inbox {
        let lines = match output {
            Output::Start(flows) => vec![wire::start_line(&flows)],
            Output::Batch { elapsed_ns, parts } => {
                let (lines, next) = wire::batch_lines(batch, elapsed_ns, &parts);
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

struct Lane {
    due: Due,
    period_ns: u64,
    on_due: OnDue,
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
        let on_due = begin(flow, ledger.recorder(index))?;
        lanes.push(Lane { due, period_ns, on_due });
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
                (lane.on_due)(lane.due);
                lane.due = Due { seq: lane.due.seq + 1, at_ns: lane.due.at_ns + lane.period_ns };
            }
            ledger.planned(index, lane.due.seq);
        }
        if now >= flush_ns || stopped {
            // A probe that falls due from now on is not planned yet.
            let until_ns = lanes.iter().map(|lane| lane.due.at_ns).fold(now, u64::min);
            let elapsed_ns = until_ns.saturating_sub(start_ns);
            send(&output, Output::Batch { elapsed_ns, parts: ledger.take() })?;
            while flush_ns <= now {
                flush_ns += BATCH_NS;
            }
        }
        if stopped {
            return Ok(());
        }
    }
}

/// Starts to probe a flow.
fn begin(flow: FlowSpec, recorder: Recorder) -> Result<OnDue, ClientError> {
    let Some(target) = flow.target() else { return Err(ClientError::flow(&flow, "it has no address")) };
    if flow.period_ns == 0 {
        return Err(ClientError::flow(&flow, "its period is 0"));
    }
    kinds::of(flow.kind).start(flow, target, recorder)
}
