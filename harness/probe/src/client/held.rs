//! Held connections: one long connection, probed until it is cut, then reopened.
//!
//! A probe is sent at its due time if the connection is free. Otherwise it waits for the connection, and is not sent at
//! all if its deadline passes meanwhile. Its class:
//!
//! - answered within the deadline: `answered` or `slow`;
//! - answered later, or not sent in time, on a connection that is still open: `stalled`;
//! - outstanding or waiting when the connection ends: `reset` or `closed`, the first of them marked as cut, unless the
//!   connection never had an answer, as one to a server that is terminating: nothing was held then;
//! - the connection ended while nothing was outstanding: the next probe is marked as cut and not sent;
//! - the next probe opens a new connection: that probe, and those that fall due meanwhile, are sent on it, or have the
//!   class of the failed attempt.

use std::collections::VecDeque;
use std::future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use model::Class;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Due;
use super::recorder::{Probe, Recorder};
use crate::clock::now_ns;
use crate::flow::FlowSpec;

/// A connection without an answer for this long is closed, as a client would do, ns; that is a cut if it had an answer
/// before.
const GIVE_UP_NS: u64 = 15_000_000_000;

/// A connection that carries numbered requests and returns their answers in order.
pub(crate) trait Link: Sized + 'static {
    /// Opens the connection.
    async fn open(flow: Rc<FlowSpec>, target: SocketAddr) -> Result<Self, Class>;
    /// Returns whether it can send a request now.
    fn is_free(&self) -> bool;
    /// Sends a request.
    fn send(&mut self, seq: u32) -> Result<(), Class>;
    /// Waits for the next answer, or for the end of the connection; can be dropped and called again.
    async fn answer(&mut self) -> Result<Answer, Class>;
}

/// An answer on a held connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The right answer to the oldest outstanding request.
    Right,
    /// A wrong answer, with its class.
    Other(Class),
}

enum State<L> {
    Down,
    /// The connection ended with this class, and no probe is marked yet.
    Cut(Class),
    Opening(Pin<Box<dyn Future<Output = Result<L, Class>>>>),
    Up {
        link: L,
        /// Whether it has had an answer.
        answered: bool,
    },
}

enum Event<L> {
    Opened(Result<L, Class>),
    Answer(Answer),
    Ended(Class),
}

/// Probes a held connection until the schedule ends.
pub(crate) async fn run<L: Link>(flow: FlowSpec, mut probes: UnboundedReceiver<Due>, recorder: Recorder) {
    let mut held = Held::<L> {
        flow: Rc::new(flow),
        recorder,
        state: State::Down,
        pending: VecDeque::new(),
        waiting: VecDeque::new(),
    };
    loop {
        tokio::select! {
            biased;
            event = held.state.next() => held.happened(event),
            due = probes.recv() => match due {
                Some(due) => held.due(due),
                None => return,
            },
        }
        held.expire();
        held.send_waiting();
    }
}

impl<L: Link> State<L> {
    async fn next(&mut self) -> Event<L> {
        match self {
            Self::Down | Self::Cut(_) => future::pending().await,
            Self::Opening(opening) => Event::Opened(opening.await),
            Self::Up { link, .. } => match link.answer().await {
                Ok(answer) => Event::Answer(answer),
                Err(class) => Event::Ended(class),
            },
        }
    }
}

struct Held<L> {
    flow: Rc<FlowSpec>,
    recorder: Recorder,
    state: State<L>,
    /// Sent, not answered.
    pending: VecDeque<Probe>,
    /// Due, not sent.
    waiting: VecDeque<Probe>,
}

impl<L: Link> Held<L> {
    fn due(&mut self, due: Due) {
        let probe = Probe::begin(due);
        if self.recorder.missed(&self.flow, &probe) {
            return;
        }
        match self.state {
            State::Cut(class) => {
                self.recorder.cut(&probe, class);
                self.state = State::Down;
                return;
            }
            State::Down => self.state = self.open(),
            State::Opening(_) | State::Up { .. } => {}
        }
        self.waiting.push_back(probe);
    }

    fn open(&self) -> State<L> {
        let (flow, limit) = (Rc::clone(&self.flow), self.flow.deadline());
        State::Opening(Box::pin(async move {
            let target = flow.target().ok_or(Class::Unreachable)?;
            within(limit, L::open(flow, target)).await
        }))
    }

    fn happened(&mut self, event: Event<L>) {
        match event {
            Event::Opened(Ok(link)) => self.state = State::Up { link, answered: false },
            Event::Opened(Err(class)) => {
                self.state = State::Down;
                for probe in self.waiting.drain(..) {
                    self.recorder.ended(&probe, class);
                }
            }
            Event::Answer(answer) => self.answered(answer),
            Event::Ended(class) => self.ended(class),
        }
    }

    fn answered(&mut self, answer: Answer) {
        if let State::Up { answered, .. } = &mut self.state {
            *answered = true;
        }
        let Some(probe) = self.pending.pop_front() else { return };
        match answer {
            Answer::Right if probe.is_overdue(&self.flow, now_ns()) => {
                self.recorder.ended(&probe, Class::Stalled);
            }
            Answer::Right => self.recorder.answered(&self.flow, &probe),
            Answer::Other(class) => self.recorder.ended(&probe, class),
        }
    }

    /// The connection ended.
    fn ended(&mut self, class: Class) {
        let held = matches!(self.state, State::Up { answered: true, .. });
        let mut hit = self.pending.drain(..).chain(self.waiting.drain(..));
        self.state = State::Down;
        if held {
            match hit.next() {
                Some(first) => self.recorder.cut(&first, class),
                None => self.state = State::Cut(class),
            }
        }
        hit.for_each(|probe| self.recorder.ended(&probe, class));
    }

    fn expire(&mut self) {
        let now = now_ns();
        if self.pending.front().is_some_and(|probe| now > probe.due_ns + GIVE_UP_NS) {
            self.ended(Class::Lost);
        }
        let class = if matches!(self.state, State::Up { .. }) { Class::Stalled } else { Class::Lost };
        while let Some(probe) = self.waiting.pop_front_if(|probe| probe.is_overdue(&self.flow, now)) {
            self.recorder.silent(&probe, class);
        }
    }

    fn send_waiting(&mut self) {
        while let State::Up { link, .. } = &mut self.state
            && link.is_free()
            && let Some(probe) = self.waiting.pop_front()
        {
            let sent = link.send(probe.seq);
            self.pending.push_back(probe.sent());
            if let Err(class) = sent {
                self.ended(class);
            }
        }
    }
}

/// Limits the time of an attempt; one that takes longer is lost.
pub(crate) async fn within<T>(
    limit: Duration,
    attempt: impl Future<Output = Result<T, Class>>,
) -> Result<T, Class> {
    tokio::time::timeout(limit, attempt).await.unwrap_or(Err(Class::Lost))
}
