//! Collects the results of probes from the tasks of a prober.

use std::cell::RefCell;
use std::rc::Rc;

use model::Class;

use super::Due;
use crate::clock::{micros_between, now_ns};
use crate::flow::FlowSpec;
use crate::sample::Sample;
use crate::wire::Part;

/// The samples since the last batch, by flow.
pub(crate) struct Ledger(Rc<RefCell<Vec<Part>>>);

/// Adds the samples of one flow to the [`Ledger`].
#[derive(Clone)]
pub(crate) struct Recorder {
    parts: Rc<RefCell<Vec<Part>>>,
    flow: usize,
}

impl Ledger {
    pub(crate) fn new(flows: usize) -> Self {
        let parts = (0..flows).map(|flow| Part { flow, ..Part::default() }).collect();
        Self(Rc::new(RefCell::new(parts)))
    }

    pub(crate) fn recorder(&self, flow: usize) -> Recorder {
        Recorder { parts: Rc::clone(&self.0), flow }
    }

    /// Sets the number of probes of a flow that have fallen due.
    pub(crate) fn planned(&self, flow: usize, planned: u32) {
        self.0.borrow_mut()[flow].planned = planned;
    }

    /// Takes the samples; the planned numbers stay.
    pub(crate) fn take(&self) -> Vec<Part> {
        let mut parts = self.0.borrow_mut();
        parts.iter_mut().map(|part| Part { samples: std::mem::take(&mut part.samples), ..*part }).collect()
    }
}

/// A probe that the prober has started and that is not decided yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) seq: u32,
    pub(crate) due_ns: u64,
    late_us: u32,
    sent_ns: Option<u64>,
}

impl Probe {
    /// Starts a probe that has fallen due.
    pub(crate) fn begin(due: Due) -> Self {
        Self { seq: due.seq, due_ns: due.at_ns, late_us: micros_between(due.at_ns, now_ns()), sent_ns: None }
    }

    /// Sets the time at which it was sent to now.
    pub(crate) fn sent(mut self) -> Self {
        self.sent_ns = Some(now_ns());
        self
    }

    /// Returns whether its deadline has passed.
    pub(crate) fn is_overdue(&self, flow: &FlowSpec, now: u64) -> bool {
        now > self.due_ns + flow.deadline_ns
    }

    fn sample(&self, class: Class, ended_ns: Option<u64>) -> Sample {
        Sample {
            seq: self.seq,
            due_ns: self.due_ns,
            class,
            late_us: self.late_us,
            sent_us: self.sent_ns.map(|sent| micros_between(self.due_ns, sent).max(self.late_us)),
            ended_us: ended_ns.map(|ended| micros_between(self.due_ns, ended)),
            cut: false,
        }
    }
}

impl Recorder {
    /// Records a probe that ended now, by an answer or by a failure.
    pub(crate) fn ended(&self, probe: &Probe, class: Class) {
        self.push(probe.sample(class, Some(now_ns())));
    }

    /// Records an answer that came now; its class depends on the time that it took.
    pub(crate) fn answered(&self, flow: &FlowSpec, probe: &Probe) {
        self.answered_at(flow, probe, now_ns());
    }

    /// Records an answer that came at `at_ns`.
    pub(crate) fn answered_at(&self, flow: &FlowSpec, probe: &Probe, at_ns: u64) {
        self.push(probe.sample(flow.class_of_answer(at_ns.saturating_sub(probe.due_ns)), Some(at_ns)));
    }

    /// Records a probe without an answer or a failure.
    pub(crate) fn silent(&self, probe: &Probe, class: Class) {
        self.push(probe.sample(class, None));
    }

    /// Records the first probe that a cut of its connection hit.
    pub(crate) fn cut(&self, probe: &Probe, class: Class) {
        self.push(Sample { cut: true, ..probe.sample(class, Some(now_ns())) });
    }

    /// Records a probe as [`Class::Missed`] if its deadline has passed before it was sent; returns whether it did.
    pub(crate) fn missed(&self, flow: &FlowSpec, probe: &Probe) -> bool {
        let missed = probe.is_overdue(flow, now_ns());
        if missed {
            self.silent(probe, Class::Missed);
        }
        missed
    }

    fn push(&self, sample: Sample) {
        self.parts.borrow_mut()[self.flow].samples.push(sample);
    }
}
