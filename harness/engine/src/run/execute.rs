//! Follows a procedure on a cluster of its own, and stops at the first step that fails.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::node_file::NodeFiles;
use cluster::turn::Turns;
use cluster::{Component, Image, Ledger, Outside};
use model::{Change, Role, Version};
use probe::deploy::{ServiceName, Session, Target};
use probe::traffic::{Settings, Traffic};
use report::event::Observation;
use report::run::TimedObservation;
use subject::{Capability, Facts, Installation, Prepared, Release, cilium};

use super::bringup::{Booted, State, Stuck, boot};
use super::existing::There;
use super::measure::Window;
use super::observe;
use super::obstruct::{self, Obstruction};
use super::outside;
use super::recorder::Recorder;
use super::request::Request;
use super::snapshots::Snapshots;
use super::traffic::{self, Wanted};
use super::turn::Standing;
use crate::bundle::Bundle;
use crate::steps::{Action, Observations, Step, StepContext, measured_for};
use crate::{errors, paths, subjects};

/// Namespace of the probes.
const NAMESPACE: &str = "seatrial-probes";
/// How long a rollout may take.
const ROLLOUT: Duration = Duration::from_secs(120);
/// How long nothing is done between two disturbances.
const CALM: Duration = Duration::from_secs(2);
/// How long nothing is done before the first operation, to see that the traffic is clean without one.
pub(super) const BASELINE: Duration = Duration::from_secs(3);

/// Brings the cluster up, installs the first version, starts the traffic, and follows every step.
pub(super) async fn drive(
    request: &Request,
    recorder: &Arc<Recorder>,
    ledger: &Ledger,
    state: &mut State,
) -> anyhow::Result<()> {
    let turns = Turns::new(&paths::state());
    state.standing = Standing::before_boot(request, recorder, &turns).await?;
    let components = &request.components;
    let helm = components.resolve(Component::Helm, &|message| recorder.progress("cluster", message)).await?;
    let bundle = Bundle::new().await?;
    let versions = request.procedure.versions();
    let prepared = subjects::prepare(&*request.subject, &versions, &bundle, components, &helm).await?;
    let probe_image = bundle.role("probe");

    let dns_image = bundle.role(cluster::dns::ROLE);

    let mut images = vec![bundle.role("pause"), probe_image.clone(), dns_image.clone()];
    images.extend(prepared.images());
    let booted = recorder
        .step("cluster", boot(request, recorder, ledger, (images, prepared.archives()), state))
        .await?;
    let Booted { client, kubernetes, api, .. } = booted;
    state.client = Some(client.clone());
    let target = target(request, &probe_image);
    let namespace = target.namespace.clone();
    let names = request.subject.names();
    state.watchers.extend(observe::watch(&client, &names, &namespace, recorder));

    let facts = Facts::read(&client, helm, &kubernetes, api, request.there.is_none()).await?;
    let releases = prepared.releases(&facts).await?;
    let subject = Installation::new(client.clone(), names.clone(), ROLLOUT).of_run(&request.id);
    let first = &request.procedure.first;
    let files = NodeFiles::new(client.clone(), target.image.clone());
    let placed = request.procedure.files().map(Path::to_owned).collect();
    let snapshots = Snapshots::new(recorder, &client, names, files.clone(), placed);
    let context = StepContext {
        observations: &**recorder,
        client: client.clone(),
        namespace,
        shell: state.cluster.as_ref().and_then(|cluster| cluster.shell()),
        subject,
        releases,
        files,
        spare: None,
        asker: None,
        rendered: Vec::new(),
        last: false,
    };
    let mut executor = Executor { recorder, snapshots, context };
    if let Some(there) = &request.there {
        executor.runs(first, there.agents.as_ref())?;
    } else {
        if request.subject.carries().has(Capability::Services) {
            executor.context.subject.apply(&cluster::dns::objects(&dns_image.reference)).await?;
        }
        let install = install(
            &executor.context.subject,
            &*prepared,
            &facts,
            executor.context.release(first)?,
            request,
            &client,
        );
        recorder.step(&format!("install {first}"), install).await?;
    }
    executor.snapshots.take("installed").await?;

    let outside = state.cluster.as_ref().and_then(|cluster| cluster.outside());
    let ipv6 = request.subject.carries_ipv6(&executor.context.subject).await?;
    let settings = Settings { names: request.names, ipv6, ..Settings::default() };
    let wanted = wanted(request, &facts, &settings, target, outside);
    let lacks = request.there.as_ref().and_then(There::lacks).map(str::to_owned);
    if let Some(why) = lacks.or_else(|| subjects::missing(&*request.subject)) {
        recorder.progress("traffic", why);
    }
    recorder.step("traffic", wanted.start(recorder, &client, &executor.context.subject, state)).await?;
    state.standing.before_baseline(recorder).await?;
    traffic::measured_from_now(state).await?;
    executor.context.spare = state.session.as_ref().and_then(Session::spare);
    executor.context.asker = state.session.as_ref().and_then(Session::asker);
    recorder.step("baseline", measured_for(BASELINE)).await?;
    executor.follow(&request.procedure.steps, state).await
}

async fn install(
    subject: &Installation,
    prepared: &dyn Prepared,
    facts: &Facts,
    release: &Release,
    request: &Request,
    client: &kube::Client,
) -> anyhow::Result<()> {
    subject.apply(&prepared.prerequisites(facts)?).await?;
    subject.install(&release.chart, &request.config).await?;
    cluster::nodes_ready(client, facts.nodes.len(), Duration::from_secs(30)).await?;
    if request.subject.carries().has(Capability::Services) {
        subject.deployment_status(cluster::dns::NAMESPACE, cluster::dns::NAME).await?;
    }
    Ok(())
}

/// Where the probes go, and what they are made of.
fn target(request: &Request, probe_image: &Image) -> Target {
    match &request.there {
        Some(there) => there.target(&request.id),
        None => Target {
            namespace: NAMESPACE.to_owned(),
            run_id: request.id.clone(),
            image: probe_image.reference.clone(),
            dns: ServiceName {
                namespace: cluster::dns::NAMESPACE.to_owned(),
                name: cluster::dns::NAME.to_owned(),
            },
        },
    }
}

/// The traffic that the request asks for on these nodes, and with a host outside of them where there is one.
fn wanted(
    request: &Request,
    facts: &Facts,
    settings: &Settings,
    target: Target,
    outside: Option<Outside>,
) -> Wanted {
    let nodes: Vec<String> = facts.nodes.iter().map(|(name, _)| name.clone()).collect();
    let traffic = match &request.there {
        Some(there) => there.traffic(settings),
        None => subjects::traffic(&*request.subject, Traffic::standard(&nodes, outside.is_some(), settings)),
    };
    // A cluster that is there is taken as it is, but for what was asked for by name; so is what a subject carries.
    let as_it_is = (request.there.is_some() && request.required.is_empty())
        || subjects::missing(&*request.subject).is_some();
    let policies = request.policies.iter();
    let policies = policies.map(|(name, spec)| cilium::policy(&target.namespace, name, spec)).collect();
    Wanted {
        traffic,
        target,
        outside: outside.map(outside::host),
        every_kind: !as_it_is,
        required: request.required.clone(),
        policies,
    }
}

/// Takes the steps, one after the other.
struct Executor<'a> {
    recorder: &'a Recorder,
    snapshots: Snapshots<'a>,
    context: StepContext<'a>,
}

impl Executor<'_> {
    async fn follow(&mut self, steps: &[Step], state: &mut State) -> anyhow::Result<()> {
        for (step, left) in steps.iter().zip((0..steps.len()).rev()) {
            self.context.last = left == 0;
            // Work that belongs to the harness ends before the traffic of a change is judged.
            if let Some(blocked) = self.render(step, state).await? {
                self.recorder.progress(&step.name, format!("the procedure ends here: {blocked}"));
                return Ok(());
            }
            if let Some(hop) = &step.hop {
                state.windows.push(Window::opened(hop));
            }
            if self.context.last && step.is_quiet() {
                state.standing.calm();
            }
            match self.recorder.step(&step.name, self.take(step)).await {
                Err(e) if step.may_fail => {
                    let reason = errors::line(&e);
                    self.recorder.progress(&step.name, format!("the procedure ends here: {reason}"));
                    if step.hop.is_some() {
                        state.stuck = Some(Stuck { step: step.name.clone(), reason });
                    }
                    return Ok(());
                }
                ended => drop(ended?),
            }
            if let Some(point) = &step.point {
                self.snapshots.take(point).await?;
            }
            if let (Action::Inject(_), Some(session)) = (&step.action, &state.session) {
                session.flowing(ROLLOUT).await?;
                measured_for(CALM).await?;
            }
        }
        Ok(())
    }

    /// Renders the chart for a step that applies one; returns what blocks it.
    async fn render(&mut self, step: &Step, state: &mut State) -> anyhow::Result<Option<String>> {
        let (Action::Upgrade(upgrade), Some(hop)) = (&step.action, &step.hop) else {
            self.context.rendered.clear();
            return Ok(None);
        };
        let release = self.context.tagged(&step.to, upgrade.tag.as_deref())?;
        let rendered = obstruct::render(&self.context.subject, hop, &release, upgrade.parts());
        let rendered = self.recorder.step(&format!("manifests {}", hop.to), rendered).await?;
        let blocked = rendered.obstructions.iter().find(|obstruction| obstruction.blocks);
        let blocked = blocked.map(Obstruction::summary);
        state.obstructions.extend(rendered.obstructions);
        self.context.rendered = rendered.objects;
        Ok(blocked)
    }

    /// Takes a step, and returns its detail.
    async fn take(&mut self, step: &Step) -> anyhow::Result<Option<String>> {
        let done = step.run(&self.context).await?;
        self.snapshots.keep(done.keep);
        Ok(done.detail)
    }

    /// The cluster runs this version already, from this image: what is rolled back comes back to it.
    fn runs(&mut self, version: &Version, image: Option<&String>) -> anyhow::Result<()> {
        let release = self.context.releases.iter_mut().find(|release| release.version == *version);
        let release = release.with_context(|| format!("{version} was not prepared"))?;
        release.image = image.context("the cluster has no agents")?.clone();
        Ok(())
    }
}

impl Observations for Recorder {
    fn observe(&self, at_ns: u64, observation: Observation) {
        Self::observe(self, at_ns, observation);
    }

    fn ended_agents(&self) -> usize {
        let ended = |seen: &&TimedObservation| {
            seen.what.role == Role::Agent && seen.what.change == Change::Terminated
        };
        self.with(|run| run.observations.iter().filter(ended).count())
    }
}
