//! New pods: made on a schedule, each timed from its due time to its first answer, and deleted.
//!
//! A new pod runs an ordinary prober of one flow, and the harness reads in its log when it was first answered:
//! both ends of the time are on the clock of the machine. This measures scheduling, the runtime, the network
//! plugin and the datapath together, as a user of the cluster feels them.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use futures_util::AsyncBufReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, LogParams, PostParams};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Target, objects};
use crate::clock::{Timer, micros_between, now_ns};
use crate::flow::{FlowSpec, Kind};
use crate::sample::{Class, Sample};
use crate::store::Store;
use crate::traffic::{Part, ProbePod};
use crate::wait::back_off;
use crate::wire::{self, Line, Start};

/// Time between two tries of a new pod to talk.
const TRY_NS: u64 = 20_000_000;
/// After this a try is given up.
const TRY_LIMIT_NS: u64 = 300_000_000;
/// Flows start so far apart that no two pods are made at once, and none keeps a run waiting for its first one.
const APART_NS: u64 = 1_500_000_000;
/// So many flows are kept apart.
const SLOTS: u64 = 2;

/// What makes the pods of one flow.
#[derive(Clone)]
pub(super) struct Maker {
    pub(super) pods: Api<Pod>,
    pub(super) target: Target,
    pub(super) flow: FlowSpec,
}

/// Makes pods and records how long each took, until it is dropped.
pub(super) async fn run(maker: Maker, index: usize, store: Arc<Store>) {
    if let Err(error) = keep_making(maker, index, &store).await {
        tracing::warn!(%error, "new pods are not made any more");
    }
}

async fn keep_making(maker: Maker, index: usize, store: &Store) -> io::Result<()> {
    let timer = Timer::new()?;
    let (prober, period_ns) = (maker.flow.client.pod.clone(), maker.flow.period_ns);
    let start_ns = now_ns() + APART_NS * (index as u64 % SLOTS);
    store.take(&prober, &wire::start_line(&[Start { flow: maker.flow.id.clone(), start_ns, period_ns }]));
    let mut made = JoinSet::new();
    let mut planned = 0;
    for batch in 0.. {
        let due_ns = start_ns + u64::from(planned) * period_ns;
        let samples = tokio::select! {
            due = timer.until(due_ns) => {
                due?;
                made.spawn(maker.clone().sample(planned, due_ns));
                planned += 1;
                Vec::new()
            }
            Some(Ok(sample)) = made.join_next() => vec![sample],
        };
        let (lines, _) = wire::batch_lines(batch, &[wire::Part { flow: 0, planned, samples }]);
        lines.iter().for_each(|line| store.take(&prober, line.trim_end()));
    }
    Ok(())
}

impl Maker {
    /// Makes a pod, waits until it was answered, deletes it, and says what became of it.
    async fn sample(self, seq: u32, due_ns: u64) -> Sample {
        let name = format!("{}-{seq}", self.flow.client.pod);
        let begun_ns = now_ns();
        let answered = timeout(self.flow.deadline(), self.first_answer(&name)).await.ok();
        if let Err(error) = self.pods.delete(&name, &DeleteParams::default()).await {
            tracing::debug!(name, %error, "deleting a pod");
        }
        Sample {
            seq,
            due_ns,
            class: answered
                .map_or(Class::Lost, |at_ns| self.flow.class_of_answer(at_ns.saturating_sub(due_ns))),
            // Lateness tells of the probers' host being busy; here it is milliseconds among seconds.
            late_us: 0,
            sent_us: Some(micros_between(due_ns, begun_ns)),
            ended_us: answered.map(|at_ns| micros_between(due_ns, at_ns)),
            cut: false,
        }
    }

    /// Returns when the pod was first answered, ns; waits for ever when it never is.
    async fn first_answer(&self, name: &str) -> u64 {
        let pod = self.pod(name);
        let mut tries = 0;
        while let Err(error) = self.pods.create(&PostParams::default(), &pod).await {
            tracing::debug!(name, %error, "making a pod");
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

    /// The pod asks by new connections, so that no try hangs on the one before.
    fn pod(&self, name: &str) -> Pod {
        let tries = FlowSpec {
            kind: Kind::New,
            period_ns: TRY_NS,
            slow_ns: TRY_LIMIT_NS,
            deadline_ns: TRY_LIMIT_NS,
            ..self.flow.clone()
        };
        let planned = ProbePod {
            name: name.to_owned(),
            node: self.flow.client.node.clone(),
            part: Part::NewPod,
            listeners: Vec::new(),
        };
        objects::client(&self.target, &planned, &[&tries])
    }
}
