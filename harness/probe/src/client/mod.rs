//! How flows are probed: datagrams, held connections and new connections, by protocol.

pub(crate) mod arrival;
pub(crate) mod dns;
pub(crate) mod failure;
pub(crate) mod fresh;
pub(crate) mod held;
pub(crate) mod http2;
pub(crate) mod icmp;
pub(crate) mod keep_alive;
pub(crate) mod packet;
pub(crate) mod recorder;
pub(crate) mod source_port;
pub(crate) mod stream;

use std::io;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::flow::FlowSpec;

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
        /// What failed.
        doing: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

impl ClientError {
    /// Reports a flow that cannot be probed.
    pub(crate) fn flow(flow: &FlowSpec, why: &'static str) -> Self {
        Self::Flow { flow: flow.id.clone(), why }
    }

    /// Reports a flow whose kind has no probe over its protocol.
    pub(crate) fn unsupported(flow: &FlowSpec) -> Self {
        Self::flow(flow, "its kind does not support its protocol")
    }
}

/// A probe that has fallen due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// Number within the flow, from 0.
    pub(crate) seq: u32,
    /// When it was due, ns.
    pub(crate) at_ns: u64,
}

/// Called with each probe of a flow that falls due.
pub(crate) type OnDue = Box<dyn FnMut(Due)>;

/// Starts the task of a flow, which receives its probes.
pub(crate) fn task<F>(task: impl FnOnce(UnboundedReceiver<Due>) -> F) -> OnDue
where
    F: Future<Output = ()> + 'static,
{
    let (probes, inbox) = unbounded_channel();
    tokio::task::spawn_local(task(inbox));
    Box::new(move |due| {
        // The task ends only by a panic, which ends the prober too.
        let _ended = probes.send(due);
    })
}
