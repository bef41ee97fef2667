//! The steps of a run, in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::{Cni, Component, Components, Ledger, Sandbox, SandboxRequest, wait};
use guide::{Direction, Stage};
use probe::deploy::{Deployment, ServiceName, Session, Target};
use probe::traffic::{Settings, Traffic};
use subject::{Snapshot, Subject};
use tokio::task::JoinHandle;

use super::logs;
use super::measure::Window;
use super::observe;
use super::recorder::Recorder;
use super::request::Request;
use crate::bundle::Bundle;
use crate::subjects::{self, Release};
use crate::{errors, paths};

/// Namespace of the probes.
const NAMESPACE: &str = "seatrial-probes";
/// How long a rollout may take.
const ROLLOUT: Duration = Duration::from_secs(120);
/// How long nothing is done before the first operation, to see that the traffic is clean without one.
const BASELINE: Duration = Duration::from_secs(3);
/// How long may be spent on saving logs before the cluster goes.
const LOGS: Duration = Duration::from_secs(5);
/// How long is measured after an operation has ended.
const SETTLE: Duration = Duration::from_secs(5);

/// What a run has made so far; it outlives the steps, so that an interrupted run can still be reported.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) sandbox: Option<Sandbox>,
    client: Option<kube::Client>,
    pub(crate) session: Option<Session>,
    pub(crate) windows: Vec<Window>,
    watchers: Vec<JoinHandle<()>>,
}

impl Drop for State {
    fn drop(&mut self) {
        self.watchers.iter().for_each(JoinHandle::abort);
    }
}

/// Runs every step; stops at the first that fails.
pub(crate) async fn drive(
    request: &Request,
    recorder: &Arc<Recorder>,
    ledger: &Ledger,
    state: &mut State,
) -> anyhow::Result<()> {
    let components = Components::new(request.place.components.clone(), paths::cache());
    let helm = components.resolve(Component::Helm, &|message| recorder.progress("cluster", message)).await?;
    let bundle = Bundle::new().await?;
    let prepared = subjects::prepare(request.subject, &request.versions(), &bundle, &components).await?;
    let probe_image = bundle.role("probe");

    let dns_image = bundle.role(cluster::dns::ROLE);

    let mut images = vec![bundle.role("pause"), probe_image.clone(), dns_image.clone()];
    images.extend(prepared.images());
    let client =
        recorder.step("cluster", boot(request, recorder, ledger, &components, images, state)).await?;
    let client = client.0;
    state.client = Some(client.clone());
    state.watchers.extend(observe::watch(&client, NAMESPACE, recorder));

    let facts = subjects::Facts::read(&client, helm, cluster::components::KUBERNETES).await?;
    let releases = prepared.releases(&facts)?;
    let subject = Subject::new(client.clone(), ROLLOUT);
    subject.apply(&cluster::dns::objects(&dns_image.reference)).await?;
    let [first, ..] = &releases[..] else { anyhow::bail!("a plan without versions") };
    let name = format!("install {}", first.version);
    recorder.step(&name, install(&subject, &prepared, &facts, first, request, &client)).await?;
    let mut snapshots = Snapshots::new(recorder, &client);
    snapshots.take("installed").await?;

    recorder
        .step("traffic", traffic(request, recorder, &client, &subject, &facts, &probe_image.reference, state))
        .await?;
    recorder.step("baseline", measured_for(BASELINE)).await?;
    for (stage, release) in request.plan.stages.iter().zip(&releases[1..]) {
        prepare_stage(recorder, &subject, stage, release).await?;
        state.windows.push(Window::opened(stage, false));
        let name = format!("upgrade {} -> {}", stage.from, stage.to);
        recorder.step(&name, upgrade(&subject, stage, release)).await?;
        recorder.step(&format!("settle on {}", stage.to), measured_for(SETTLE)).await?;
        snapshots.take(&format!("upgraded-{}", stage.to)).await?;
    }
    if let Some(last) = request.plan.stages.last().filter(|_| request.rollback) {
        state.windows.push(Window::opened(last, true));
        let name = format!("roll back {} -> {}", last.to, last.from);
        recorder.step(&name, roll_back(&subject, &releases[releases.len() - 2])).await?;
        recorder.step(&format!("settle on {}", last.from), measured_for(SETTLE)).await?;
        snapshots.take(&format!("rolled-back-{}", last.from)).await?;
    }
    Ok(())
}

/// A client has no detail to show.
pub(crate) struct Booted(kube::Client, String);

impl super::recorder::Produced for Booted {
    fn detail(&self) -> Option<String> {
        Some(self.1.clone())
    }
}

async fn boot(
    request: &Request,
    recorder: &Arc<Recorder>,
    ledger: &Ledger,
    components: &Components,
    images: Vec<cluster::Image>,
    state: &mut State,
) -> anyhow::Result<Booted> {
    let started_ns = probe::clock::now_ns();
    let sandbox = SandboxRequest {
        id: request.id.clone(),
        nodes: request.nodes,
        cni: Cni::None,
        api_port: request.place.api_port,
        keep: request.keep,
        logs: recorder.folder().logs(),
        images,
    };
    let progress = |message| recorder.progress("cluster", message);
    let sandbox = state.sandbox.insert(Sandbox::boot(sandbox, components, ledger, &progress).await?);
    let client = cluster::client(&sandbox.kubeconfig()).await?;
    let nodes = usize::from(request.nodes);
    let deadline = Duration::from_secs(60);
    tokio::try_join!(
        cluster::nodes_registered(&client, nodes, deadline),
        cluster::namespace_ready(&client, subject::NAMESPACE, deadline)
    )?;
    let boot_ms = (probe::clock::now_ns() - started_ns) / 1_000_000;
    recorder.with(|run| {
        run.provider.boot_ms = Some(boot_ms as f64);
        run.provider.kubernetes = cluster::components::KUBERNETES.to_owned();
        run.provider.nodes = sandbox.nodes();
    });
    state.watchers.push(tokio::spawn(observe::memory(sandbox.memory_meter(), Arc::clone(recorder))));
    Ok(Booted(client, format!("{nodes} nodes registered in {:.2} s", boot_ms as f64 / 1_000.0)))
}

async fn install(
    subject: &Subject,
    prepared: &subjects::Prepared,
    facts: &subjects::Facts,
    release: &Release,
    request: &Request,
    client: &kube::Client,
) -> anyhow::Result<()> {
    subject.apply(&prepared.prerequisites(facts)).await?;
    subject.install(&release.chart, &request.config).await?;
    cluster::nodes_ready(client, facts.nodes.len(), Duration::from_secs(30)).await?;
    Ok(subject.deployment_status(cluster::dns::NAME).await?)
}

async fn traffic(
    request: &Request,
    recorder: &Recorder,
    client: &kube::Client,
    subject: &Subject,
    facts: &subjects::Facts,
    image: &str,
    state: &mut State,
) -> anyhow::Result<String> {
    let nodes: Vec<String> = facts.nodes.iter().map(|(name, _)| name.clone()).collect();
    let traffic = Traffic::standard(&nodes, &Settings::default());
    let target = Target {
        namespace: NAMESPACE.to_owned(),
        run_id: request.id.clone(),
        image: image.to_owned(),
        dns: ServiceName { namespace: subject::NAMESPACE.to_owned(), name: cluster::dns::NAME.to_owned() },
    };
    let servers = Deployment::servers(client.clone(), target, &traffic).await?;
    let labels = BTreeMap::from([("seatrial.dev/run".to_owned(), request.id.clone())]);
    subject.apply(&subject::policies(NAMESPACE, &labels, &grants(&traffic))).await?;
    let session = state.session.insert(servers.clients(&recorder.folder().samples()).await?);
    let flowing_ns = session.flowing(Duration::from_secs(30)).await?;
    state.windows.push(Window::baseline(flowing_ns));
    Ok(format!("{} flows", session.traffic().flows.len()))
}

fn grants(traffic: &Traffic) -> Vec<subject::Grant> {
    let grant = |grant: &probe::traffic::Grant| subject::Grant {
        client: grant.client.clone(),
        server: grant.server.clone(),
        protocol: if grant.transport == probe::flow::Protocol::Udp { "UDP" } else { "TCP" },
        port: grant.port,
        http: grant
            .http
            .iter()
            .map(|rule| subject::HttpRule { method: rule.method.clone(), path: rule.path.clone() })
            .collect(),
    };
    traffic.grants.iter().map(grant).collect()
}

/// Lets the probes go on for a while, with nothing else happening.
async fn measured_for(length: Duration) -> anyhow::Result<()> {
    let until_ns = probe::clock::now_ns() + length.as_nanos() as u64;
    let probe = async || {
        let left = until_ns.saturating_sub(probe::clock::now_ns());
        if left == 0 { Ok(()) } else { Err(format!("{} ms to go", left / 1_000_000)) }
    };
    let condition = format!("{} s of samples", length.as_secs());
    Ok(wait::until(&condition, length * 2, Duration::from_millis(50), probe).await?)
}

async fn prepare_stage(
    recorder: &Recorder,
    subject: &Subject,
    stage: &Stage,
    release: &Release,
) -> anyhow::Result<()> {
    let name = format!("pre-flight check {}", stage.to);
    recorder.step(&name, async { Ok(subject.preflight(&release.chart).await?) }).await?;
    if stage.config_changes.is_empty() {
        return Ok(());
    }
    let changes: BTreeMap<String, String> =
        stage.config_changes.iter().map(|change| (change.key.clone(), change.value.clone())).collect();
    let required = async {
        subject.edit_config(&changes).await?;
        Ok(changes.keys().cloned().collect::<Vec<_>>().join(", "))
    };
    recorder.step(&format!("required changes before {}", stage.to), required).await?;
    Ok(())
}

async fn upgrade(subject: &Subject, stage: &Stage, release: &Release) -> anyhow::Result<()> {
    match stage.direction {
        Direction::Micro => subject.set_image(&release.image).await?,
        Direction::Up | Direction::Down => subject.upgrade_minor(&release.chart).await?,
    }
    Ok(())
}

async fn roll_back(subject: &Subject, release: &Release) -> anyhow::Result<String> {
    let revision = subject.rollout_undo().await?;
    let daemon_set = subject.daemon_set().await?;
    let containers = daemon_set.spec.and_then(|s| s.template.spec).map(|s| s.containers).unwrap_or_default();
    let image = containers.into_iter().find(|c| c.name == subject::CONTAINER).and_then(|c| c.image);
    anyhow::ensure!(
        image.as_deref() == Some(release.image.as_str()),
        "the rollback ended, but the agents run {} and not {}",
        image.unwrap_or_default(),
        release.image
    );
    Ok(format!("back to revision {revision}, {}", release.image))
}

/// The subject's objects at each point of the run, and what changed between them.
struct Snapshots<'a> {
    recorder: &'a Recorder,
    client: &'a kube::Client,
    last: Option<(String, Snapshot)>,
}

impl<'a> Snapshots<'a> {
    fn new(recorder: &'a Recorder, client: &'a kube::Client) -> Self {
        Self { recorder, client, last: None }
    }

    async fn take(&mut self, point: &str) -> anyhow::Result<()> {
        let taken = Snapshot::take(self.client).await.context("the subject's objects could not be read")?;
        let folder = self.recorder.folder().objects();
        let failed = || format!("the objects could not be written to {}", folder.display());
        taken.write(&folder.join(point)).with_context(failed)?;
        if let Some((before, last)) = &self.last {
            let name = format!("{before}--{point}.diff");
            std::fs::write(folder.join(name), last.diff(&taken)).with_context(failed)?;
        }
        self.last = Some((point.to_owned(), taken));
        Ok(())
    }
}

/// Takes everything down, or releases it when it shall be kept.
pub(crate) async fn take_down(
    request: &Request,
    recorder: &Recorder,
    ledger: &Ledger,
    mut state: State,
) -> anyhow::Result<String> {
    state.watchers.iter().for_each(JoinHandle::abort);
    if let Some(client) = state.client.take()
        && let Err(e) = tokio::time::timeout(LOGS, logs::save(&client, &recorder.folder().logs()))
            .await
            .unwrap_or_else(|e| Err(e.into()))
    {
        recorder.progress("take down", format!("logs are incomplete: {}", errors::line(&e)));
    }
    match state.sandbox.take() {
        None => {
            // Interrupted or failed while it came up: what was started ends by itself.
            cluster::sandbox::collect(ledger, &request.id).await?;
            Ok("nothing left".to_owned())
        }
        Some(sandbox) if request.keep => {
            let kubeconfig = sandbox.kubeconfig();
            sandbox.release().await?;
            recorder.progress("take down", format!("kept; seatrial cluster down {}", request.id));
            Ok(format!("kept: export KUBECONFIG={}", kubeconfig.display()))
        }
        Some(sandbox) => {
            sandbox.destroy().await?;
            Ok("nothing left".to_owned())
        }
    }
}
