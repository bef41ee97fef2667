//! The procedure of `calibrate`: inject outages of known length, and compare them with what is measured.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::{Components, NodeShell, Provider};
use futures_util::future::BoxFuture;
use model::{Kind, Version};
use probe::calibration::{Accuracy, Injected, compare};
use probe::processors::Shortage;
use probe::traffic::{HTTP_PORT, Traffic};
use report::run::Verdict;
use subject::Subject;

use super::install::Prepared;
use super::{Procedure, outages};
use crate::calibration::Calibration;
use crate::judge::{Criteria, Measured};
use crate::lifecycle;
use crate::place::Place;
use crate::record::{Audience, RecordStart};
use crate::scratch::Scratch;
use crate::session::{Session, TrafficRequest};

/// A request for a calibration of this machine.
#[derive(Debug)]
pub struct CalibrationRequest {
    /// The id of the run.
    pub id: String,
    /// The subject whose traffic is measured.
    pub subject: Arc<dyn Subject>,
    /// Its version.
    pub version: Version,
    /// The provider of the cluster. Faults are injected with the tools of the sandbox.
    pub provider: Arc<dyn Provider>,
    /// The programs that the cluster consists of.
    pub components: Components,
    /// The number of outages.
    pub count: u32,
    /// Probes a second on each flow.
    pub rate: u32,
}

/// Another tool that measures the same outages, next to the probes.
pub trait Companion: Send {
    /// The UDP port of its server, on which it must lose packets when the probes do.
    fn udp_port(&self) -> Option<u16> {
        None
    }

    /// Starts it, when the traffic flows and before the first outage.
    ///
    /// An error ends the calibration.
    fn start<'a>(&'a mut self, ends: &'a Ends) -> BoxFuture<'a, anyhow::Result<()>>;

    /// Waits until it has ended, after the last outage and while the cluster is still up.
    ///
    /// An error ends the calibration.
    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>>;
}

/// The ends between which a [`Companion`] measures.
#[derive(Clone, Debug)]
pub struct Ends {
    /// Runs commands on the nodes.
    pub shell: Arc<dyn NodeShell>,
    /// The nodes of the client and of the server.
    pub nodes: [String; 2],
    /// The pods of the client and of the server.
    pub pods: [&'static str; 2],
    /// The address of the server.
    pub server: String,
    /// The HTTP port of the server.
    pub http_port: u16,
    /// How long the outages take at most, seconds.
    pub seconds: u64,
}

/// The result of a calibration.
#[derive(Debug)]
pub struct Calibrated {
    /// The result in numbers.
    pub calibration: Calibration,
    /// The outages, as they were injected.
    pub injected: Vec<Injected>,
}

/// Boots a cluster, injects outages, and compares; `None` when the user interrupted it.
///
/// # Errors
/// When the cluster does not come up, or an outage cannot be injected or measured.
pub async fn calibrate(
    request: CalibrationRequest,
    companion: Option<&mut dyn Companion>,
) -> anyhow::Result<Option<Calibrated>> {
    let CalibrationRequest { id, subject, version, provider, components, count, rate } = request;
    let place = Place::created(&id, provider, components, 2);
    let folder = Scratch::new("calibrate-")?;
    let start = RecordStart {
        id,
        out: folder.path().to_owned(),
        audience: Audience::Steps,
        subject: subject.name().to_owned(),
        provider: place.provider().name().to_owned(),
        path: Vec::new(),
        recipe: None,
        calibration: None,
    };
    let mut procedure = Outages {
        subject,
        version,
        count,
        rate,
        companion,
        injected: Vec::new(),
        from_ns: None,
        result: None,
    };
    let ended = Box::pin(lifecycle::run(&place, &start, &Criteria::default(), &mut procedure)).await?;
    if let Some(failure) = ended.failure {
        return Err(failure);
    }
    match (ended.run.verdict, procedure.result) {
        (Verdict::Interrupted, _) => Ok(None),
        (Verdict::Errored, _) => Err(anyhow::anyhow!(ended.run.reason)),
        (_, Some(calibration)) => Ok(Some(Calibrated { calibration, injected: procedure.injected })),
        (_, None) => Err(anyhow::anyhow!(ended.run.reason)),
    }
}

struct Outages<'a> {
    subject: Arc<dyn Subject>,
    version: Version,
    count: u32,
    rate: u32,
    companion: Option<&'a mut dyn Companion>,
    injected: Vec<Injected>,
    /// When the traffic flowed, ns; `None` until all outages were injected.
    from_ns: Option<u64>,
    result: Option<Calibration>,
}

impl Procedure for Outages<'_> {
    async fn follow(&mut self, session: &mut Session<'_>) -> anyhow::Result<()> {
        session.take_turn().await?;
        let prepared = Prepared::new(&*self.subject, std::slice::from_ref(&self.version), session).await?;
        let id = session.place.id().to_owned();
        // The cluster is removed with the run, and its probers with it.
        let installed = prepared.boot(None, &id, Duration::MAX, session).await?;
        prepared.apply_dns(&installed).await?;
        let config = std::collections::BTreeMap::new();
        let install = prepared.install(&self.version, &config, &installed);
        let recorder = Arc::clone(&session.recorder);
        recorder.step(&format!("install {}", self.version), install).await?;
        let nodes: [String; 2] =
            installed.nodes().try_into().ok().context("a calibration needs two nodes")?;
        let traffic = Traffic::calibration(&nodes, self.rate);
        let traffic = TrafficRequest::optional(traffic, installed.probes.clone());
        Box::pin(session.start_traffic(traffic, &installed.subject, &installed.client)).await?;
        let from_ns = probe::clock::now_ns();
        self.inject(nodes, session).await?;
        self.from_ns = Some(from_ns);
        Ok(())
    }

    async fn measured(&mut self, _: &mut Session<'_>, measured: &Measured) -> anyhow::Result<()> {
        if let (Some(from_ns), None) = (self.from_ns, &measured.failure) {
            self.result = Some(analyse(measured, &self.injected, from_ns));
        }
        Ok(())
    }
}

impl Outages<'_> {
    async fn inject(&mut self, nodes: [String; 2], session: &Session<'_>) -> anyhow::Result<()> {
        let traffic = session.traffic.as_ref().context("there is no traffic")?;
        let flows = &traffic.traffic().flows;
        let server = flows.iter().find_map(|flow| flow.address.filter(|_| flow.kind == Kind::Packet));
        let server = server.context("the packet flow has no server")?.to_string();
        let schedule = outages::schedule(self.count);
        let injector = outages::Injector {
            cluster: cluster_folder(session),
            node: nodes[1].clone(),
            server: server.clone(),
            companion_port: self.companion.as_ref().and_then(|companion| companion.udp_port()),
        };
        if let Some(companion) = &mut self.companion {
            let ends = Ends {
                shell: session.shell().context("the provider cannot run commands on nodes")?,
                nodes,
                pods: ["client-1", "open-server"],
                server,
                http_port: HTTP_PORT,
                seconds: outages::seconds(&schedule),
            };
            companion.start(&ends).await?;
        }
        let recorder = &session.recorder;
        let progress = |message| recorder.progress("outages", message);
        let inject = injector.inject(&schedule, &progress);
        let inject = async {
            self.injected = inject.await?;
            Ok(format!("{} outages", schedule.len()))
        };
        recorder.step("outages", inject).await?;
        match &mut self.companion {
            Some(companion) => companion.finish().await,
            None => Ok(()),
        }
    }
}

fn cluster_folder(session: &Session<'_>) -> PathBuf {
    session.place.ledger().folder(session.place.id())
}

fn analyse(measured: &Measured, injected: &[Injected], from_ns: u64) -> Calibration {
    let Measured { flows, processors, until_ns, .. } = measured;
    let shortage = Shortage::of(processors, from_ns, *until_ns);
    let (comparisons, false_alarms) = compare(injected, flows, (from_ns, *until_ns));
    let probed = flows.iter().find(|flow| flow.flow.kind == Kind::Packet);
    let period_ms = probed.map_or(0.0, |flow| flow.flow.period_ns as f64 / 1e6);
    Calibration {
        schema: "seatrial/calibration/v1".to_owned(),
        at: jiff::Timestamp::now().to_string(),
        accuracy: Accuracy::of(&comparisons, false_alarms, period_ms),
        stolen_ms: shortage.stolen_ms,
        cpu_pressure: shortage.pressure,
        comparisons,
    }
}
