//! The procedure of `run` and `scenario run`: install a version, start the traffic, and take the steps of an upgrade.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use cluster::node_file::NodeFiles;
use guide::NodeImage;
use model::Version;
use probe::traffic::Settings;
use report::run::{Run, Transition};
use subject::cilium;

use super::Procedure;
use super::follow::Follower;
use super::install::{Installed, Prepared};
use crate::calibration;
use crate::judge::Criteria;
use crate::lifecycle;
use crate::record::{Audience, RecordStart, Recorder};
use crate::run::request::Request;
use crate::session::{Session, Snapshots, TrafficRequest};
use crate::steps::StepContext;
use crate::subjects;

/// Carries a request out, from the boot of its place to the reports, and returns the record.
///
/// # Errors
/// When the run folder cannot be created or written; every other failure is in the record.
pub async fn run(request: &Request) -> anyhow::Result<Run> {
    let criteria = Criteria { budgets: request.budgets.clone(), reproduce: request.again.clone() };
    let (start, mut upgrade) = (record_start(request), Upgrade { request });
    Ok(Box::pin(lifecycle::run(&request.place, &start, &criteria, &mut upgrade)).await?.run)
}

fn record_start(request: &Request) -> RecordStart {
    let path = request.procedure.hops().map(|hop| Transition {
        from: hop.from.to_string(),
        to: hop.to.to_string(),
        direction: hop.direction,
        l3_impact: hop.l3,
        l7_impact: hop.l7,
    });
    RecordStart {
        id: request.place.id().to_owned(),
        out: request.out.clone(),
        audience: Audience::Run { verbose: request.verbose },
        subject: request.subject.name().to_owned(),
        provider: request.place.provider().name().to_owned(),
        path: path.collect(),
        recipe: Some(request.recipe.clone()),
        calibration: calibration::last(),
    }
}

struct Upgrade<'a> {
    request: &'a Request,
}

impl Procedure for Upgrade<'_> {
    async fn follow(&mut self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let request = self.request;
        session.take_turn().await?;
        let versions = request.procedure.versions();
        let prepared = Prepared::new(&*request.subject, &versions, session).await?;
        let node_image = node_image(request, &versions, &session.recorder);
        let node_image = node_image.map(|node| node.image.clone());
        let longest = request.procedure.longest();
        let mut installed = prepared.boot(node_image, request.place.id(), longest, session).await?;
        let (recorder, client) = (Arc::clone(&session.recorder), installed.client.clone());
        let first = &request.procedure.first;
        let files = NodeFiles::new(client.clone(), installed.probes.image.clone());
        let placed = request.procedure.files().map(Path::to_owned).collect();
        let mut snapshots =
            Snapshots::new(&recorder, &client, request.subject.names(), files.clone(), placed);
        if session.place.is_created() {
            prepared.apply_dns(&installed).await?;
            let install = prepared.install(first, &request.config, &installed);
            recorder.step(&format!("install {first}"), install).await?;
        } else {
            let image = session.place.running_image().context("the cluster has no agents")?;
            installed.runs(first, image)?;
        }
        snapshots.take("installed").await?;
        let traffic = self.traffic(&installed, session).await?;
        if let Some(why) = self.missing_traffic() {
            recorder.progress("traffic", why);
        }
        Box::pin(session.start_traffic(traffic, &installed.subject, &client)).await?;
        let traffic = session.traffic.as_ref();
        let context = StepContext {
            observations: &*recorder,
            client: client.clone(),
            namespace: installed.probes.namespace.clone(),
            shell: session.shell(),
            subject: installed.subject,
            releases: installed.releases,
            files,
            spare: traffic.and_then(probe::deploy::Session::spare),
            asker: traffic.and_then(probe::deploy::Session::asker),
            rendered: Vec::new(),
            last: false,
        };
        let follower = Follower { recorder: &recorder, snapshots, context };
        session.baseline().await?;
        Box::pin(follower.follow(&request.procedure.steps, session)).await
    }
}

impl Upgrade<'_> {
    /// The standard traffic, as far as place and subject can have it.
    async fn traffic(&self, installed: &Installed, session: &Session<'_>) -> anyhow::Result<TrafficRequest> {
        let request = self.request;
        let ipv6 = request.subject.carries_ipv6(&installed.subject).await?;
        let settings = Settings { names: request.names, ipv6, ..Settings::default() };
        let outside = session.outside();
        let standard = session.place.traffic(&installed.nodes(), outside.is_some(), &settings);
        let target = installed.probes.clone();
        let policies = request.policies.iter();
        let policies = policies.map(|(name, spec)| cilium::policy(&target.namespace, name, spec)).collect();
        // An existing cluster, and a subject, have the traffic that they can have, apart from what was required by name.
        let optional = (!session.place.is_created() && request.required.is_empty())
            || subjects::missing(&*request.subject).is_some();
        Ok(TrafficRequest {
            traffic: subjects::traffic(&*request.subject, standard),
            target,
            outside,
            every_kind: !optional,
            required: request.required.clone(),
            policies,
        })
    }

    fn missing_traffic(&self) -> Option<String> {
        let of_place = self.request.place.missing_traffic().map(str::to_owned);
        of_place.or_else(|| subjects::missing(&*self.request.subject))
    }
}

/// The node image with a Kubernetes that all versions were tested with, where it can be chosen.
fn node_image(request: &Request, versions: &[Version], recorder: &Recorder) -> Option<&'static NodeImage> {
    let chooses = request.place.provider().capabilities().chooses_kubernetes;
    if !chooses || request.subject.runs_on_any_kubernetes() {
        return None;
    }
    let names: Vec<_> = versions.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    let image = guide::node_image(versions);
    let message = match image {
        Some(image) => {
            format!("Kubernetes {} is the newest node image that {names} were tested with", image.kubernetes)
        }
        None => format!(
            "no published node image has a Kubernetes that {names} were tested with: the default one is used; \
             --kind-image names another"
        ),
    };
    recorder.progress("cluster", message);
    image
}
