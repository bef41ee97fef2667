//! Follows a procedure on a cluster of its own, and stops at the first step that fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::node_file::NodeFiles;
use cluster::turn::Turns;
use cluster::{Cluster, Component, Image, Ledger, Outside, wait};
use guide::Version;
use guide::rebase::{Template, rebase};
use kube::api::DynamicObject;
use probe::deploy::{Asker, ServiceName, Session, Spare, Target};
use probe::traffic::{Settings, Traffic};
use report::run::TimedObservation;
use serde_json::Value;
use subject::{Parts, Subject};

use super::bringup::{Booted, State, Stuck, boot};
use super::existing::There;
use super::identities;
use super::inject::Disturbed;
use super::look::{Look, Seen};
use super::measure::Window;
use super::observe;
use super::obstruct::{self, Obstruction, Rendered};
use super::outside;
use super::procedure::{Action, Hop, PolicyChange, SETTLE, SOAK, Step, Way};
use super::recorder::Recorder;
use super::request::Request;
use super::snapshots::Snapshots;
use super::traffic::{self, Wanted};
use super::turn::Standing;
use crate::bundle::Bundle;
use crate::subjects::{self, Release};
use crate::{errors, paths};

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
    let components = request.provider.components();
    let helm = components.resolve(Component::Helm, &|message| recorder.progress("cluster", message)).await?;
    let bundle = Bundle::new().await?;
    let versions = request.procedure.versions();
    let prepared = subjects::prepare(&request.subject, &versions, &bundle, &components, &helm).await?;
    let probe_image = bundle.role("probe");

    let dns_image = bundle.role(cluster::dns::ROLE);

    let mut images = vec![bundle.role("pause"), probe_image.clone(), dns_image.clone()];
    images.extend(prepared.images());
    let booted = recorder
        .step("cluster", boot(request, recorder, ledger, &components, (images, prepared.archives()), state))
        .await?;
    let Booted { client, kubernetes, api, .. } = booted;
    state.client = Some(client.clone());
    let target = target(request, &probe_image);
    let namespace = target.namespace.clone();
    let names = request.subject.names();
    state.watchers.extend(observe::watch(&client, &names, &namespace, recorder));

    let facts = subjects::Facts::read(&client, helm, &kubernetes, api, request.there.is_none()).await?;
    let releases = prepared.releases(&facts).await?;
    let subject = Subject::new(client.clone(), ROLLOUT).named(names.clone()).of_run(&request.id);
    let first = &request.procedure.first;
    let files = NodeFiles::new(client.clone(), target.image.clone());
    let placed = request.procedure.files().map(Path::to_owned).collect();
    let snapshots = Snapshots::new(recorder, &client, names, files.clone(), placed);
    let mut executor = Executor {
        recorder,
        client: client.clone(),
        namespace,
        cluster: ledger.folder(&request.id),
        subject,
        releases,
        snapshots,
        files,
        spare: None,
        asker: None,
    };
    if let Some(there) = &request.there {
        executor.runs(first, there.agents.as_ref())?;
    } else {
        if request.subject.carries_services() {
            executor.subject.apply(&cluster::dns::objects(&dns_image.reference)).await?;
        }
        let install =
            install(&executor.subject, &prepared, &facts, executor.release(first)?, request, &client);
        recorder.step(&format!("install {first}"), install).await?;
    }
    executor.snapshots.take("installed").await?;

    let outside = state.cluster.as_ref().and_then(Cluster::outside);
    let ipv6 = request.subject.carries_ipv6(&executor.subject).await?;
    let settings = Settings { names: request.names, ipv6, ..Settings::default() };
    let wanted = wanted(request, &facts, &settings, target, outside);
    let lacks = request.there.as_ref().and_then(There::lacks).map(str::to_owned);
    if let Some(why) = lacks.or_else(|| request.subject.lacks()) {
        recorder.progress("traffic", why);
    }
    recorder.step("traffic", wanted.start(recorder, &client, &executor.subject, state)).await?;
    state.standing.before_baseline(recorder).await?;
    traffic::measured_from_now(state).await?;
    executor.spare = state.session.as_ref().and_then(Session::spare);
    executor.asker = state.session.as_ref().and_then(Session::asker);
    recorder.step("baseline", measured_for(BASELINE)).await?;
    executor.follow(&request.procedure.steps, state).await
}

async fn install(
    subject: &Subject,
    prepared: &subjects::Prepared,
    facts: &subjects::Facts,
    release: &Release,
    request: &Request,
    client: &kube::Client,
) -> anyhow::Result<()> {
    subject.apply(&prepared.prerequisites(facts)?).await?;
    subject.install(&release.chart, &request.config).await?;
    cluster::nodes_ready(client, facts.nodes.len(), Duration::from_secs(30)).await?;
    if request.subject.carries_services() {
        subject.deployment_status(cluster::dns::NAME).await?;
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
                namespace: subject::NAMESPACE.to_owned(),
                name: cluster::dns::NAME.to_owned(),
            },
        },
    }
}

/// The traffic that the request asks for on these nodes, and with a host outside of them where there is one.
fn wanted(
    request: &Request,
    facts: &subjects::Facts,
    settings: &Settings,
    target: Target,
    outside: Option<Outside>,
) -> Wanted {
    let nodes: Vec<String> = facts.nodes.iter().map(|(name, _)| name.clone()).collect();
    let traffic = match &request.there {
        Some(there) => there.traffic(settings),
        None => request.subject.traffic(Traffic::standard(&nodes, outside.is_some(), settings)),
    };
    // A cluster that is there is taken as it is, but for what was asked for by name; so is what a subject carries.
    let as_it_is =
        (request.there.is_some() && request.required.is_empty()) || request.subject.lacks().is_some();
    let policies = request.policies.iter();
    let policies = policies.map(|(name, spec)| subject::policy(&target.namespace, name, spec)).collect();
    Wanted {
        traffic,
        target,
        outside: outside.map(outside::host),
        every_kind: !as_it_is,
        required: request.required.clone(),
        policies,
    }
}

/// Lets the probes go on for a while, with nothing else happening.
pub(super) async fn measured_for(length: Duration) -> anyhow::Result<()> {
    let until_ns = probe::clock::now_ns() + length.as_nanos() as u64;
    let probe = async || {
        let left = until_ns.saturating_sub(probe::clock::now_ns());
        if left == 0 { Ok(()) } else { Err(format!("{} ms to go", left / 1_000_000)) }
    };
    let condition = format!("{} s of samples", length.as_secs());
    Ok(wait::until(&condition, length * 2, Duration::from_millis(50), probe).await?)
}

/// Takes the steps, one after the other.
struct Executor<'a> {
    recorder: &'a Recorder,
    client: kube::Client,
    /// Where the probes are.
    namespace: String,
    /// The cluster's folder in the ledger.
    cluster: PathBuf,
    subject: Subject,
    releases: Vec<Release>,
    snapshots: Snapshots<'a>,
    files: NodeFiles,
    spare: Option<Spare>,
    asker: Option<Asker>,
}

impl Executor<'_> {
    async fn follow(&mut self, steps: &[Step], state: &mut State) -> anyhow::Result<()> {
        for (step, left) in steps.iter().zip((0..steps.len()).rev()) {
            let recorder = self.recorder;
            // What is not the upgrade's work is done before its traffic is judged.
            let rendered = match obstruct::applies(step) {
                None => Vec::new(),
                Some((hop, parts)) => {
                    let name = format!("manifests {}", hop.to);
                    let rendered = recorder.step(&name, self.render(step, hop, parts)).await?;
                    let blocked = rendered.obstructions.iter().find(|obstruction| obstruction.blocks);
                    let blocked = blocked.map(Obstruction::summary);
                    state.obstructions.extend(rendered.obstructions);
                    if let Some(why) = blocked {
                        recorder.progress(&name, format!("the procedure ends here: {why}"));
                        return Ok(());
                    }
                    rendered.objects
                }
            };
            match &step.action {
                Action::Change(hop, _) => state.windows.push(Window::opened(hop)),
                Action::Settle(_) | Action::Wait(_) if left == 0 => state.standing.calm(),
                _ => {}
            }
            match recorder.step(&step.name, self.take(step, &rendered, left)).await {
                Err(e) if step.may_fail => {
                    let reason = errors::line(&e);
                    self.recorder.progress(&step.name, format!("the procedure ends here: {reason}"));
                    if matches!(step.action, Action::Change(..)) {
                        state.stuck = Some(Stuck { step: step.name.clone(), reason });
                    }
                    return Ok(());
                }
                ended => drop(ended?),
            }
            if let Some(point) = step.action.point() {
                self.snapshots.take(point).await?;
            }
            if let (Action::Inject(..), Some(session)) = (&step.action, &state.session) {
                session.flowing(ROLLOUT).await?;
                measured_for(CALM).await?;
            }
        }
        Ok(())
    }

    async fn render(&self, step: &Step, hop: &Hop, parts: Parts) -> anyhow::Result<Rendered> {
        let release = match &step.action {
            Action::Change(_, Way::Chart(tag)) => &tagged(self.release(&hop.to)?, tag.as_deref()),
            _ => self.release(&hop.to)?,
        };
        obstruct::render(&self.subject, hop, release, parts).await
    }

    /// Takes a step before the `left` others, with what was rendered for it; returns what there is to say about it.
    async fn take(
        &mut self,
        step: &Step,
        rendered: &[DynamicObject],
        left: usize,
    ) -> anyhow::Result<Option<String>> {
        let subject = match step.within {
            Some(within) => self.subject.clone().within(within),
            None => self.subject.clone(),
        };
        match &step.action {
            Action::Preflight(target) => {
                let mut release = tagged(self.release(&target.version)?, target.tag.as_deref());
                release.chart.values.extend(target.set.clone());
                Ok(Some(subject.preflight(&release.chart).await?))
            }
            Action::EditConfig(changes) => {
                subject.edit_config(changes).await?;
                Ok(Some(changes.keys().cloned().collect::<Vec<_>>().join(", ")))
            }
            Action::Rebase { from, to } => self.rebase(from, to).await.map(Some),
            Action::Change(hop, way) => match &step.meanwhile {
                None => self.change(&subject, hop, way, rendered).await,
                Some(policies) => {
                    let change = self.change(&subject, hop, way, rendered);
                    let (done, ()) = tokio::try_join!(change, self.while_an_agent_is_away(policies))?;
                    Ok(done)
                }
            },
            Action::Settle(_) => measured_for(if left == 0 { SOAK } else { SETTLE }).await.map(|()| None),
            Action::Wait(length) => measured_for(*length).await.map(|()| None),
            Action::MigrateIdentities(version) => {
                let migrated = subject.migrate_identities(&self.release(version)?.chart).await?;
                Ok(Some(identities::record(&migrated, self.recorder)))
            }
            Action::SpareServer { added } => self.spare_server(*added).await,
            Action::AskNames => {
                let asker =
                    self.asker.as_ref().context("the traffic has no names; set `names` in `install`")?;
                Ok(Some(asker.ask().await?))
            }
            Action::ClearIdentities => {
                subject.clear_identities().await?;
                Ok(None)
            }
            Action::Inject(cause, node) => {
                let disturbed =
                    Disturbed { client: &self.client, namespace: &self.namespace, folder: &self.cluster };
                disturbed.inject(*cause, node).await?;
                Ok(None)
            }
            Action::Policies(policies) => self.policies(policies).await.map(|()| None),
            Action::Look(look) => {
                let image = match look {
                    Look::StartBeside(version, ..) => Some(self.release(version)?.image.clone()),
                    _ => None,
                };
                let Seen { detail, keep } = look.take(&subject, image.as_deref()).await?;
                self.snapshots.keep(keep);
                Ok(detail)
            }
            Action::PlaceFile(path, text) => {
                self.files.write(path, text).await?;
                Ok(None)
            }
        }
    }

    async fn change(
        &self,
        subject: &Subject,
        hop: &Hop,
        way: &Way,
        rendered: &[DynamicObject],
    ) -> anyhow::Result<Option<String>> {
        let release = self.release(&hop.to)?;
        match way {
            Way::Chart(_) | Way::ChartAndConfig => subject.upgrade(rendered).await?,
            Way::Image => subject.set_image(&release.image).await?,
            Way::Undo => return roll_back(subject, release).await.map(Some),
            Way::Restart => subject.restart(&jiff::Timestamp::now().to_string()).await?,
        }
        Ok(None)
    }

    async fn spare_server(&self, added: bool) -> anyhow::Result<Option<String>> {
        let spare = self.spare.as_ref().context("the traffic has no servers")?;
        if added {
            return Ok(Some(spare.add().await?));
        }
        spare.remove().await?;
        Ok(None)
    }

    async fn policies(&self, change: &PolicyChange) -> anyhow::Result<()> {
        let applied = change.apply.iter();
        let applied: Vec<_> =
            applied.map(|(name, spec)| subject::policy(&self.namespace, name, spec)).collect();
        self.subject.apply(&applied).await?;
        let deleted = change.delete.iter();
        let deleted: Vec<_> =
            deleted.map(|name| subject::policy(&self.namespace, name, &Value::Null)).collect();
        Ok(self.subject.delete(&deleted).await?)
    }

    /// Changes policies as soon as the change that goes on has taken an agent away.
    async fn while_an_agent_is_away(&self, policies: &PolicyChange) -> anyhow::Result<()> {
        let gone = || {
            let gone =
                |seen: &TimedObservation| seen.what.role == "agent" && seen.what.change == "terminated";
            self.recorder.with(|run| run.observations.iter().filter(|seen| gone(seen)).count())
        };
        let before = gone();
        let probe = async || if gone() > before { Ok(()) } else { Err("no agent has ended".to_owned()) };
        wait::until("an agent to be away", ROLLOUT, Duration::from_millis(10), probe).await?;
        self.policies(policies).await
    }

    /// Export, template, merge, apply: the guide's way to keep a ConfigMap and yet get the new options.
    async fn rebase(&self, from: &Version, to: &Version) -> anyhow::Result<String> {
        let exported = self.subject.config_map().await?;
        let rendered = self.release(to)?.chart.config_map().await?;
        let template = Template::read(&rendered).context("the chart's ConfigMap cannot be read")?;
        let request = guide::rebase::Request {
            from,
            to,
            template: Some(&template),
            adopt: BTreeSet::new(),
            comments: false,
        };
        let rebased = rebase(&exported, &request).context("the cluster's ConfigMap cannot be rebased")?;
        self.subject.replace_config(&rebased.text).await?;
        Ok(guide::rebase::render::summary(&rebased))
    }

    /// The cluster runs this version already, from this image: what is rolled back comes back to it.
    fn runs(&mut self, version: &Version, image: Option<&String>) -> anyhow::Result<()> {
        let release = self.releases.iter_mut().find(|release| release.version == *version);
        let release = release.with_context(|| format!("{version} was not prepared"))?;
        release.image = image.context("the cluster has no agents")?.clone();
        Ok(())
    }

    fn release(&self, version: &Version) -> anyhow::Result<&Release> {
        let release = self.releases.iter().find(|release| release.version == *version);
        release.with_context(|| format!("{version} was not prepared"))
    }
}

/// The release with another tag of its images.
fn tagged(release: &Release, tag: Option<&str>) -> Release {
    let mut release = release.clone();
    release.chart.values.extend(tag.map(|tag| ("global.tag".to_owned(), tag.to_owned())));
    release
}

async fn roll_back(subject: &Subject, release: &Release) -> anyhow::Result<String> {
    let revision = subject.rollout_undo().await?;
    let daemon_set = subject.daemon_set().await?;
    let containers = daemon_set.spec.and_then(|s| s.template.spec).map(|s| s.containers).unwrap_or_default();
    let image = containers.into_iter().find(|c| c.name == subject.names().container).and_then(|c| c.image);
    anyhow::ensure!(
        image.as_deref() == Some(release.image.as_str()),
        "the rollback ended, but the agents run {} and not {}",
        image.unwrap_or_default(),
        release.image
    );
    Ok(format!("back to revision {revision}, {}", release.image))
}
