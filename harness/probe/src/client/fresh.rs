//! One exchange for each probe, on a socket of its own: no pool, no retry.

use std::net::SocketAddr;
use std::rc::Rc;

use model::{Class, Protocol};
use tokio::sync::mpsc::UnboundedReceiver;

use super::held::{Answer, Link as _, within};
use super::keep_alive::KeepAlive;
use super::recorder::{Probe, Recorder};
use super::stream::Echo;
use super::{Due, failure, source_port};
use crate::flow::FlowSpec;

/// Makes one exchange for each probe that falls due.
pub(crate) async fn run<F, A>(
    flow: FlowSpec,
    target: SocketAddr,
    mut probes: UnboundedReceiver<Due>,
    recorder: Recorder,
    exchange: F,
) where
    F: Fn(Rc<FlowSpec>, SocketAddr, u32) -> A + Copy + 'static,
    A: Future<Output = Result<Answer, Class>> + 'static,
{
    let flow = Rc::new(flow);
    while let Some(due) = probes.recv().await {
        let probe = Probe::begin(due);
        if recorder.missed(&flow, &probe) {
            continue;
        }
        let (flow, recorder, probe) = (Rc::clone(&flow), recorder.clone(), probe.sent());
        tokio::task::spawn_local(async move {
            match within(flow.deadline(), exchange(Rc::clone(&flow), target, probe.seq)).await {
                Ok(Answer::Right) => recorder.answered(&flow, &probe),
                Err(Class::Lost) => recorder.silent(&probe, Class::Lost),
                Ok(Answer::Other(class)) | Err(class) => recorder.ended(&probe, class),
            }
        });
    }
}

/// Opens a TCP connection and makes one exchange on it: HTTP or echo.
///
/// The connection ends by reset (no linger): the answer is complete by then, and no side keeps the connection in
/// TIME_WAIT, so that ports do not run out.
pub(crate) async fn connection(flow: Rc<FlowSpec>, target: SocketAddr, seq: u32) -> Result<Answer, Class> {
    let io = |error: std::io::Error| failure::class_of(&error);
    // Only one request goes out, so there is nothing that the kernel could delay it for.
    let stream = source_port::connect(target).await.map_err(io)?;
    stream.set_zero_linger().map_err(io)?;
    if flow.protocol == Protocol::Http {
        let mut link = KeepAlive::over(stream, flow).await?;
        link.send(seq)?;
        return link.answer().await;
    }
    let mut link = Echo::over(stream, flow.bytes.into());
    link.send(seq)?;
    link.answer().await
}
