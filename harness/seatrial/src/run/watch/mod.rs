//! `seatrial watch`: measures a cluster that is there, while somebody else changes it by whatever tool.

mod look;
mod rights;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use cluster::Ledger;
use cluster::existing::{self, Access};
use cluster::ledger::Held;
use probe::budget::Budgets;
use probe::deploy::{ServiceName, Target};
use probe::traffic::{Settings, Traffic};
use report::run::Transition;
use subject::Subject;

use super::brief::Brief;
use super::bringup::State;
use super::execute::{BASELINE, measured_for};
use super::measure::{self, Window};
use super::recorder::Recorder;
use super::traffic::{self, Wanted};
use super::{interrupted, judge, observe};
use crate::commands::cluster::new_id;
use crate::exit::{self, Usage};
use crate::{errors, paths};
use look::Found;

/// How long the API server may take for a change that is ours.
const CHANGE: Duration = Duration::from_secs(60);
/// The guide's words for what an upgrade may do.
const L3: &str = "Minimal to None";
const L7: &str = "Clients must reconnect";
/// The name of what is watched, in findings.
const WATCH: &str = "watch";

/// Arguments of `seatrial watch`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Args {
    /// Context of the kubeconfig; it is always named, so that no cluster is taken by mistake.
    #[arg(long, required_unless_present = "rbac")]
    context: Option<String>,
    /// Image of the probes, as the nodes can pull it or already have it; `seatrial image` makes it.
    #[arg(long, required_unless_present = "rbac")]
    image: Option<String>,
    /// Kubeconfig; by default ~/.kube/config.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// End after so many seconds; without it, at the first Ctrl-C.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// How many nodes have probes: the first ones by name.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    nodes: u8,
    /// The Service of the cluster's DNS.
    #[arg(long, default_value = "kube-system/kube-dns", value_name = "NAMESPACE/NAME", value_parser = service)]
    dns: ServiceName,
    /// What flows may lose, in place of the standard budgets.
    #[arg(long, value_name = "FILE")]
    budgets: Option<PathBuf>,
    /// Folder for the run's folder.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// List the flows that lost nothing as well.
    #[arg(long, short)]
    verbose: bool,
    /// Print the role that it takes, and do nothing.
    #[arg(long)]
    rbac: bool,
}

fn service(text: &str) -> Result<ServiceName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(ServiceName { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("write it as namespace/name".to_owned()),
    }
}

/// Runs the command to its report and returns the exit code.
pub(crate) async fn run(args: Args) -> anyhow::Result<u8> {
    let (Some(context), Some(image)) = (args.context.clone(), args.image.clone()) else {
        use std::io::Write as _;
        write!(std::io::stdout(), "{}", rights::manifest()?)?;
        return Ok(exit::PASSED);
    };
    let id = new_id();
    let access = Access { kubeconfig: kubeconfig(&args)?, context, namespace: format!("seatrial-{id}") };
    let client = access.client().await.map_err(|e| Usage(errors::line(&e.into())))?;
    let found = Found::look(&client, args.nodes.into()).await?;
    let subject = Subject::new(client.clone(), CHANGE);
    let before = agents_version(&subject).await;
    let again = format!("seatrial watch --context {} --image {image}", access.context);
    let brief = brief(&args, &id, before.is_some(), again)?;
    let recorder = Arc::new(Recorder::start(&brief)?);
    let ledger = Ledger::new(&paths::state());
    let mut watch = Watch { access, client, subject, found, held: None, state: State::default() };

    let mut stop = pin!(interrupted());
    let target = Target {
        namespace: watch.access.namespace.clone(),
        run_id: id.clone(),
        image,
        dns: args.dns.clone(),
    };
    let mut begun = tokio::select! {
        begun = Box::pin(watch.begin(target, &recorder, &ledger)) => Some(begun),
        () = &mut stop => None,
    };
    if matches!(begun, Some(Ok(()))) {
        watch.state.windows.push(window());
        let told = match args.seconds {
            Some(seconds) => format!("{seconds} s"),
            None => "until Ctrl-C".to_owned(),
        };
        let enough = async {
            recorder.progress(WATCH, format!("change the cluster now; watching {told}"));
            tokio::select! {
                ended = until(args.seconds) => ended,
                () = &mut stop => Ok(()),
            }
        };
        // Whatever came of it, what was measured is reported and what was made is removed.
        begun = Some(recorder.step(WATCH, enough).await);
    }
    let interrupted = begun.is_none();
    if interrupted {
        recorder.interrupt();
    }
    if let Some((from, to)) = before.zip(agents_version(&watch.subject).await) {
        let (l3_impact, l7_impact) = (L3.to_owned(), L7.to_owned());
        let direction = WATCH.to_owned();
        recorder.with(|run| run.path = vec![Transition { from, to, direction, l3_impact, l7_impact }]);
    }
    let failure = begun.and_then(Result::err);
    let measured = judge::Measured::end(&watch.state).await;
    let outcome = judge::outcome(&brief, &recorder, &watch.state, measured, interrupted, failure.as_ref());
    recorder.judged(outcome);
    if let Err(e) = recorder.step("take down", watch.take_down(&id)).await {
        let why = errors::line(&e);
        recorder.errored(&format!("the probes could not be removed: {why}; run `seatrial gc`"));
    }
    Ok(recorder.finish(&brief)?.exit_code)
}

fn kubeconfig(args: &Args) -> anyhow::Result<PathBuf> {
    let home = || std::env::home_dir().map(|home| home.join(".kube/config"));
    let path = args.kubeconfig.clone().or_else(home).context("there is no home folder; name --kubeconfig")?;
    // The ledger's entry has to hold from everywhere.
    std::path::absolute(&path).context("the current folder cannot be told")
}

fn brief(args: &Args, id: &str, agents: bool, again: String) -> anyhow::Result<Brief> {
    let budgets = |path: &Path| {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"));
        text.and_then(|text| Budgets::parse(&text).map_err(|e| e.to_string()))
            .map_err(|e| Usage(format!("the budgets {}: {e}", path.display())))
    };
    Ok(Brief {
        id: id.to_owned(),
        out: std::path::absolute(&args.out).context("the current folder cannot be told")?,
        verbose: args.verbose,
        subject: if agents { subject::DAEMONSET } else { "cluster" }.to_owned(),
        provider: existing::PROVIDER.to_owned(),
        path: Vec::new(),
        again,
        budgets: args.budgets.as_deref().map(budgets).transpose()?,
        recipe: None,
    })
}

/// The version of the agents by the tag of their image; none where there are none.
async fn agents_version(subject: &Subject) -> Option<String> {
    let spec = subject.daemon_set().await.ok()?.spec?.template.spec?;
    let container = spec.containers.into_iter().find(|container| container.name == subject::CONTAINER)?;
    let image = container.image?;
    let image = image.split('@').next()?;
    Some(image.rsplit_once(':')?.1.to_owned())
}

/// The window in which the cluster is changed.
fn window() -> Window {
    let (name, l3, l7) = (WATCH.to_owned(), L3.to_owned(), L7.to_owned());
    Window { from_ns: probe::clock::now_ns(), transition: Some(measure::Transition { name, l3, l7 }) }
}

async fn until(seconds: Option<u64>) -> anyhow::Result<()> {
    match seconds {
        Some(seconds) => measured_for(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

/// What there is of a watch.
struct Watch {
    access: Access,
    client: kube::Client,
    subject: Subject,
    found: Found,
    held: Option<Held>,
    state: State,
}

impl Watch {
    /// Makes the traffic and takes its baseline.
    async fn begin(
        &mut self,
        target: Target,
        recorder: &Arc<Recorder>,
        ledger: &Ledger,
    ) -> anyhow::Result<()> {
        let Found { kubernetes, nodes, policies } = &self.found;
        recorder.with(|run| {
            run.provider.kubernetes.clone_from(kubernetes);
            run.provider.nodes.clone_from(nodes);
        });
        self.held = Some(self.access.enter(ledger, &target.run_id, nodes.len())?);
        self.state.watchers.extend(observe::watch(&self.client, &self.access.namespace, recorder));
        let standard = Traffic::standard(nodes, false, &Settings::default());
        let traffic = if *policies { standard } else { standard.without_policies() };
        let wanted = Wanted { traffic, target, outside: None, required: None, policies: Vec::new() };
        let start = wanted.start(recorder, &self.client, &self.subject, &mut self.state);
        recorder.step("traffic", start).await?;
        traffic::measured_from_now(&mut self.state).await?;
        if !policies {
            let why = "the cluster knows no CiliumNetworkPolicy: nothing that a policy must block is tried";
            recorder.progress("traffic", why.to_owned());
        }
        recorder.step("baseline", measured_for(BASELINE)).await
    }

    /// Removes what is ours. Logs of a cluster that is not ours are not kept: nobody asked for them.
    async fn take_down(self, id: &str) -> anyhow::Result<String> {
        let Self { access, client, held, mut state, .. } = self;
        if let Some(session) = state.session.take() {
            session.stop();
        }
        access.remove(&client, id).await?;
        held.map_or(Ok(()), Held::remove)?;
        Ok("nothing left".to_owned())
    }
}
