//! Sessions: what one run has on its place. That is the cluster, the traffic in it, and the watchers.
//!
//! A session outlives the procedure, so that an interrupted run is still judged, reported and taken down.

mod outside;
mod snapshots;
mod traffic;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, NodeShell};
use probe::deploy::OutsideHost;
use subject::{Installation, Names};
use tokio::task::JoinHandle;

pub(crate) use snapshots::Snapshots;
pub(crate) use traffic::{MissingTraffic, TrafficRequest};

use crate::deadline::within;
use crate::errors;
use crate::judge::{Evidence, Measured, Window};
use crate::observe;
use crate::place::{self, Booted, Needs, Place, RunTurn};
use crate::record::Recorder;
use crate::steps::measured_for;

/// How long the traffic may take until all flows receive responses.
const FLOWING: Duration = Duration::from_secs(30);
/// How long is measured before the first change, to see that no probes are lost without one.
const BASELINE: Duration = Duration::from_secs(3);
/// How long the collection of the last samples may take.
const COLLECTED: Duration = Duration::from_secs(60);
/// How long logs may be saved before the cluster is removed.
const LOGS: Duration = Duration::from_secs(5);

/// A run on its place.
pub(crate) struct Session<'a> {
    pub(crate) place: &'a Place,
    pub(crate) recorder: Arc<Recorder>,
    turn: RunTurn,
    cluster: Option<Box<dyn Cluster>>,
    client: Option<kube::Client>,
    /// The namespace of the subject, whose logs are saved.
    subject_namespace: Option<String>,
    pub(crate) traffic: Option<probe::deploy::Session>,
    /// What the steps contribute to the verdict.
    pub(crate) evidence: Evidence,
    watchers: Vec<JoinHandle<()>>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.stop_watchers();
    }
}

impl<'a> Session<'a> {
    /// A run that has not started yet.
    pub(crate) fn new(place: &'a Place, recorder: &Arc<Recorder>) -> Self {
        Self {
            place,
            recorder: Arc::clone(recorder),
            turn: RunTurn::None,
            cluster: None,
            client: None,
            subject_namespace: None,
            traffic: None,
            evidence: Evidence::default(),
            watchers: Vec::new(),
        }
    }

    /// Waits until this run may boot its place.
    pub(crate) async fn take_turn(&mut self) -> anyhow::Result<()> {
        self.turn = RunTurn::before_boot(self.place, &self.recorder).await?;
        Ok(())
    }

    /// Brings the place up, as the step `cluster`.
    pub(crate) async fn boot(&mut self, needs: Needs) -> anyhow::Result<Booted> {
        let (recorder, weight) = (Arc::clone(&self.recorder), self.turn.cpu_weight());
        let boot = self.place.boot(needs, weight, &recorder, &mut self.cluster);
        let booted = recorder.step("cluster", boot).await?;
        self.client = Some(booted.client.clone());
        if let Some(cluster) = &self.cluster {
            let memory = observe::memory(cluster.memory_meter(), Arc::clone(&recorder));
            self.watchers.push(tokio::spawn(memory));
        }
        Ok(booted)
    }

    /// Starts to record what happens to the objects of the subject and of the probes.
    pub(crate) fn watch(&mut self, client: &kube::Client, names: &Names, probes: &str) {
        self.subject_namespace = Some(names.namespace.clone());
        self.watchers.extend(observe::watch(client, names, probes, &self.recorder));
    }

    /// A host outside of the cluster, if the place has one.
    pub(crate) fn outside(&self) -> Option<Arc<dyn OutsideHost>> {
        self.cluster.as_ref().and_then(|cluster| cluster.outside()).map(outside::host)
    }

    /// Runs commands on the nodes, if the place can.
    pub(crate) fn shell(&self) -> Option<Arc<dyn NodeShell>> {
        self.cluster.as_ref().and_then(|cluster| cluster.shell())
    }

    /// Starts the traffic and waits until all flows receive responses, as the step `traffic`; then waits for the turn.
    pub(crate) async fn start_traffic(
        &mut self,
        request: TrafficRequest,
        subject: &Installation,
        client: &kube::Client,
    ) -> anyhow::Result<()> {
        let recorder = Arc::clone(&self.recorder);
        let (traffic, watchers) = (&mut self.traffic, &mut self.watchers);
        let start = async {
            let (watcher, session) = request.start(&recorder, client, subject).await?;
            watchers.push(watcher);
            let session = traffic.insert(session);
            session.flowing(FLOWING).await?;
            Ok(format!("{} flows", session.traffic().flows.len()))
        };
        recorder.step("traffic", Box::pin(start)).await?;
        self.turn.before_baseline(&recorder).await
    }

    /// Measures for a while without any change, as the step `baseline`, and until all flows receive responses after that.
    /// What was before does not count.
    pub(crate) async fn baseline(&mut self) -> anyhow::Result<()> {
        if let Some(traffic) = &self.traffic {
            let flowing_ns = traffic.flowing(FLOWING).await?;
            self.evidence.windows.push(Window::baseline(flowing_ns));
        }
        let (recorder, traffic) = (Arc::clone(&self.recorder), &self.traffic);
        let measured = async {
            measured_for(BASELINE).await?;
            if let Some(traffic) = traffic {
                traffic.flowing(FLOWING).await?;
            }
            Ok(())
        };
        recorder.step("baseline", measured).await
    }

    /// The run no longer changes its cluster: another run may prepare.
    pub(crate) fn quiet(&mut self) {
        self.turn.quiet();
    }

    /// Ends the measurement, and lets the next run measure.
    pub(crate) async fn end_measurement(&mut self, succeeded: bool) -> Measured {
        let finish = async {
            Ok(match &self.traffic {
                Some(traffic) => traffic.finish().await,
                None => probe::deploy::Delivered::default(),
            })
        };
        let measured = Measured::new(within("the last samples", COLLECTED, finish).await);
        if let Err(e) = std::mem::take(&mut self.turn).ended(self.place.is_kept(succeeded)) {
            let message = format!("this run slows other runs down: {}", errors::line(&e));
            self.recorder.progress("take down", message);
        }
        measured
    }

    /// Stops the traffic, saves the logs, and removes or releases the cluster. Returns what is left, and the kubeconfig of
    /// a kept cluster.
    pub(crate) async fn take_down(&mut self, succeeded: bool) -> anyhow::Result<(String, Option<PathBuf>)> {
        self.stop_watchers();
        if let Some(traffic) = self.traffic.take() {
            traffic.stop();
        }
        self.save_logs().await;
        let (left, kubeconfig) = self.place.take_down(self.cluster.take(), succeeded).await?;
        if kubeconfig.is_some() {
            let message = format!("kept; seatrial cluster down {}", self.place.id());
            self.recorder.progress("take down", message);
        }
        Ok((left, kubeconfig))
    }

    async fn save_logs(&mut self) {
        let (Some(client), Some(namespace)) = (self.client.take(), self.subject_namespace.take()) else {
            return;
        };
        if !self.place.saves_pod_logs() {
            return;
        }
        let folder = self.recorder.folder().logs();
        let saved = place::save_pod_logs(&client, &namespace, &folder);
        if let Err(e) = within("the logs of the pods", LOGS, saved).await {
            let message = format!("the logs are incomplete: {}", errors::line(&e));
            self.recorder.progress("take down", message);
        }
    }

    fn stop_watchers(&mut self) {
        self.watchers.drain(..).for_each(|watcher| watcher.abort());
    }
}
