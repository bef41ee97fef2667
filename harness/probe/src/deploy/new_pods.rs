//! New pods: created on a schedule, each timed from its due time to its first answer, then deleted.
//!
//! A new pod runs an ordinary prober of one flow, and the harness reads the time of the first answer in its log. This
//! measures scheduling, the runtime, the network plugin and the datapath together, as a user of the cluster does.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::AsyncBufReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, LogParams, PostParams};
use model::{Class, Kind};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Target, objects};
use crate::clock::{Timer, micros_between, now_ns};
use crate::flow::FlowSpec;
use crate::sample::Sample;
use crate::store::Store;
use crate::wait::back_off;
use crate::wire::{self, Line, Start};

/// Time between two probes of a new pod, ns.
const TRY_NS: u64 = 20_000_000;
/// Deadline of such a probe, ns.
const TRY_LIMIT_NS: u64 = 300_000_000;
/// Time between the starts of two flows, ns: no two pods start at once, and a run does not wait long for the first one.
const APART_NS: u64 = 1_500_000_000;
/// Flows that start apart.
const SLOTS: u64 = 2;

/// Lateness up to which a pod counts as created on time, µs.
const LATE_US: u32 = 1_000_000;

/// Time between two reports to the store when nothing happens, ns.
const REPORT_NS: u64 = 500_000_000;

/// Creates the pods of one flow.
#[derive(Clone)]
pub(super) struct Creator {
    pub(super) pods: Api<Pod>,
    pub(super) target: Target,
    pub(super) flow: FlowSpec,
}

/// Creates pods and records how long each took, until it is dropped.
pub(super) async fn run(creator: Creator, index: usize, store: Arc<Store>) {
    if let Err(error) = keep_creating(creator, index, &store).await {
        tracing::warn!(%error, "no more new pods are created");
    }
}

async fn keep_creating(creator: Creator, index: usize, store: &Store) -> io::Result<()> {
    let timer = Timer::new()?;
    let (prober, period_ns) = (creator.flow.client.pod.clone(), creator.flow.period_ns);
    let start_ns = now_ns() + APART_NS * (index as u64 % SLOTS);
    store.take(&prober, &wire::start_line(&[Start { flow: creator.flow.id.clone(), start_ns, period_ns }]));
    let (mut created, mut deleted) = (JoinSet::<Sample>::new(), JoinSet::new());
    let (mut planned, mut due_ns, mut report_ns) = (0, start_ns, start_ns);
    for batch in 0.. {
        let samples = tokio::select! {
            at = timer.until(due_ns.min(report_ns)) => {
                at?;
                Vec::new()
            }
            Some(Ok(sample)) = created.join_next() => {
                deleted.spawn(creator.clone().delete(sample.seq));
                vec![sample]
            }
        };
        let now = now_ns();
        while due_ns <= now {
            created.spawn(creator.clone().sample(planned, due_ns));
            planned += 1;
            due_ns += period_ns;
        }
        report_ns = now + REPORT_NS;
        while deleted.try_join_next().is_some() {}
        let elapsed_ns = now.saturating_sub(start_ns);
        let (lines, _) = wire::batch_lines(batch, elapsed_ns, &[wire::Part { flow: 0, planned, samples }]);
        lines.iter().for_each(|line| store.take(&prober, line.trim_end()));
    }
    Ok(())
}

impl Creator {
    fn name(&self, seq: u32) -> String {
        format!("{}-{seq}", self.flow.client.pod)
    }

    /// Creates a pod, waits until it was answered or its deadline has passed, and returns the sample.
    async fn sample(self, seq: u32, due_ns: u64) -> Sample {
        let begun_ns = now_ns();
        let late_us = micros_between(due_ns, begun_ns);
        // A busy harness is milliseconds late, which says nothing about the seconds that a pod takes.
        let late_us = if late_us > LATE_US { late_us } else { 0 };
        let missed =
            Sample { seq, due_ns, class: Class::Missed, late_us, sent_us: None, ended_us: None, cut: false };
        let left_ns = (due_ns + self.flow.deadline_ns).saturating_sub(begun_ns);
        if left_ns == 0 {
            return missed;
        }
        let answered = timeout(Duration::from_nanos(left_ns), self.first_answer(&self.name(seq))).await.ok();
        let class = |at_ns: u64| self.flow.class_of_answer(at_ns.saturating_sub(due_ns));
        Sample {
            class: answered.map_or(Class::Lost, class),
            sent_us: Some(micros_between(due_ns, begun_ns)),
            ended_us: answered.map(|at_ns| micros_between(due_ns, at_ns)),
            ..missed
        }
    }

    async fn delete(self, seq: u32) {
        let name = self.name(seq);
        if let Err(error) = self.pods.delete(&name, &DeleteParams::default()).await {
            tracing::debug!(name, %error, "deleting a pod");
        }
    }

    /// Returns the time of the pod's first answer, ns; never returns without one.
    async fn first_answer(&self, name: &str) -> u64 {
        let pod = self.pod(name);
        let mut tries = 0;
        while let Err(error) = self.pods.create(&PostParams::default(), &pod).await {
            tracing::debug!(name, %error, "creating a pod");
            back_off(tries).await;
            tries += 1;
        }
        // The log is refused until the container runs.
        loop {
            match self.answer_in_log(name).await {
                Ok(Some(at_ns)) => return at_ns,
                Ok(None) => {}
                Err(error) => tracing::debug!(name, error, "the log of a new pod"),
            }
            back_off(0).await;
        }
    }

    async fn answer_in_log(
        &self,
        name: &str,
    ) -> Result<Option<u64>, Box<dyn std::error::Error + Send + Sync>> {
        let params = LogParams { follow: true, ..LogParams::default() };
        let mut log = pin!(self.pods.log_stream(name, &params).await?);
        let (mut starts, mut line) = (Vec::new(), String::new());
        while log.read_line(&mut line).await? > 0 {
            match wire::parse_line(line.trim_end(), &starts)? {
                Some(Line::Start(found)) => starts = found,
                Some(Line::Batch { parts, .. }) => {
                    let mut samples = parts.into_iter().flat_map(|part| part.samples);
                    if let Some(answer) = samples.find(|sample| sample.class.is_answer()) {
                        return Ok(Some(answer.ended_ns()));
                    }
                }
                None => {}
            }
            line.clear();
        }
        Ok(None)
    }

    /// Returns the pod; it probes by new connections, so that no probe waits for the one before.
    fn pod(&self, name: &str) -> Pod {
        let tries = FlowSpec {
            kind: Kind::New,
            period_ns: TRY_NS,
            slow_ns: TRY_LIMIT_NS,
            deadline_ns: TRY_LIMIT_NS,
            ..self.flow.clone()
        };
        let longest = Duration::from_nanos(self.flow.deadline_ns);
        objects::new_pod(&self.target, &self.flow.client, name, longest, &tries)
    }
}
