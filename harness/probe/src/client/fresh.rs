//! A connection a probe: own source port, no pool, no retry.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::held::{Answer, Link as _, within};
use super::keep_alive::KeepAlive;
use super::recorder::{Probe, Recorder};
use super::stream::Echo;
use super::{Due, dns, source_port};
use crate::flow::{FlowSpec, Kind, Protocol};
use crate::sample::Class;

/// Opens, uses and ends a connection for each probe that falls due.
pub(super) async fn run(
    flow: FlowSpec,
    target: SocketAddr,
    mut probes: UnboundedReceiver<Due>,
    recorder: Recorder,
) {
    let flow = Rc::new(flow);
    while let Some(due) = probes.recv().await {
        let probe = Probe::begin(due);
        if recorder.missed(&flow, &probe) {
            continue;
        }
        let (flow, recorder, probe) = (Rc::clone(&flow), recorder.clone(), probe.sent());
        tokio::task::spawn_local(async move {
            match within(flow.deadline(), exchange(&flow, target, probe.seq)).await {
                Ok(Answer::Right) => recorder.answered(&flow, &probe),
                Err(Class::Lost) => recorder.silent(&probe, Class::Lost),
                Ok(Answer::Other(class)) | Err(class) => recorder.ended(&probe, class),
            }
        });
    }
}

/// Makes one connection and one exchange on it; a question over UDP has a socket in its place.
///
/// The connection ends by reset (no linger): the answer is complete by then, and neither side keeps it in
/// TIME_WAIT, so that ports do not run out.
async fn exchange(flow: &Rc<FlowSpec>, target: SocketAddr, seq: u32) -> Result<Answer, Class> {
    if flow.kind == Kind::Dns {
        return dns::ask(flow, target, seq).await;
    }
    let io = |error: std::io::Error| Class::of_error(&error);
    // One request goes out, and nothing before it that the kernel could want to wait for.
    let stream = source_port::connect(target).await.map_err(io)?;
    stream.set_zero_linger().map_err(io)?;
    if flow.protocol == Protocol::Http {
        let mut link = KeepAlive::over(stream, Rc::clone(flow)).await?;
        link.send(seq)?;
        return link.answer().await;
    }
    let mut link = Echo::over(stream, flow.bytes.into());
    link.send(seq)?;
    link.answer().await
}
