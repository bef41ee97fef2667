//! `seatrial watch`: measures a cluster that is there, while somebody else changes it by whatever tool.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use cluster::{BootContext, ClusterRequest, Components, Ledger};
use model::{Direction, Impact};
use probe::budget::Budgets;
use probe::traffic::Settings;
use report::run::Transition;
use subject::{Installation, cilium};

use super::brief::Brief;
use super::bringup::State;
use super::execute::BASELINE;
use super::existing::{self, CHANGE, Named, Purpose, There};
use super::measure::{self, Window};
use super::recorder::Recorder;
use super::traffic::{self, Wanted};
use super::{interrupted, judge, observe};
use crate::command_line::CommandLine;
use crate::exit::{self, Usage};
use crate::id::new_id;
use crate::steps::measured_for;
use crate::{errors, paths};

/// The guide's words for what an upgrade may do.
const L3: Impact = Impact::MinimalToNone;
const L7: Impact = Impact::ClientsMustReconnect;
/// The name of what is watched, in findings.
const WATCH: &str = "watch";

/// Arguments of `seatrial watch`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// End after so many seconds; without it, at the first Ctrl-C.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// How many nodes have probes: the first ones by name.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    nodes: u8,
    /// Ask pods at their IPv6 addresses as well.
    #[arg(long)]
    ipv6: bool,
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

/// Runs the command to its report and returns the exit code.
pub async fn run(args: Args, line: CommandLine) -> anyhow::Result<u8> {
    if args.rbac {
        use std::io::Write as _;
        write!(std::io::stdout(), "{}", existing::manifest()?)?;
        return Ok(exit::PASSED);
    }
    let id = new_id();
    let there = There::look(&args.named, &id, args.nodes, Purpose::Watch).await?;
    let brief = brief(&args, &line, &id, there.agents.is_some())?;
    let recorder = Arc::new(Recorder::start(&brief)?);
    let ledger = Ledger::new(&paths::state());
    let settings = Settings { ipv6: args.ipv6, ..Settings::default() };
    let mut watch = Watch { id, there, settings, state: State::default() };

    let mut stop = pin!(interrupted());
    let mut begun = tokio::select! {
        begun = Box::pin(watch.begin(&recorder, &ledger)) => Some(begun),
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
    let now = existing::agents(&watch.there.client).await;
    let version = |image: &Option<String>| existing::version(image.as_deref()?).map(str::to_owned);
    if let Some((from, to)) = version(&watch.there.agents).zip(version(&now)) {
        let direction = Direction::Watch;
        let hop = Transition { from, to, direction, l3_impact: L3, l7_impact: L7 };
        recorder.with(|run| run.path = vec![hop]);
    }
    let failure = begun.and_then(Result::err);
    let measured = judge::Measured::end(&watch.state).await;
    let outcome = judge::outcome(&brief, &recorder, &watch.state, measured, interrupted, failure.as_ref());
    recorder.judged(outcome);
    if let Err(e) = recorder.step("take down", watch.take_down()).await {
        let why = errors::line(&e);
        recorder.errored(&format!("the probes could not be removed: {why}; run `seatrial gc`"));
    }
    Ok(recorder.finish(&brief)?.exit_code)
}

fn brief(args: &Args, line: &CommandLine, id: &str, agents: bool) -> anyhow::Result<Brief> {
    let budgets = |path: &Path| {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"));
        text.and_then(|text| Budgets::parse(&text).map_err(|e| e.to_string()))
            .map_err(|e| Usage(format!("the budgets {}: {e}", path.display())))
    };
    Ok(Brief {
        id: id.to_owned(),
        out: std::path::absolute(&args.out).context("the current folder cannot be told")?,
        verbose: args.verbose,
        subject: if agents { cilium::names().name } else { "cluster".to_owned() },
        provider: cluster::existing::NAME.to_owned(),
        path: Vec::new(),
        again: line.to_string(),
        budgets: args.budgets.as_deref().map(budgets).transpose()?,
        recipe: None,
    })
}

/// The window in which the cluster is changed.
fn window() -> Window {
    let (name, l3, l7) = (WATCH.to_owned(), L3, L7);
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
    id: String,
    there: There,
    settings: Settings,
    state: State,
}

impl Watch {
    /// Makes the traffic and takes its baseline.
    async fn begin(&mut self, recorder: &Arc<Recorder>, ledger: &Ledger) -> anyhow::Result<()> {
        let (there, state) = (&self.there, &mut self.state);
        recorder.with(|run| {
            run.provider.kubernetes.clone_from(&there.found.kubernetes);
            run.provider.nodes.clone_from(&there.found.nodes);
        });
        let components = Components::new(None, paths::cache());
        let context = BootContext { components: &components, ledger, progress: &|_| () };
        let request = ClusterRequest::new(&self.id, 0, recorder.folder().logs());
        state.cluster = Some(there.provider().boot(request, context).await?);
        let target = there.target(&self.id);
        state.watchers.extend(observe::watch(&there.client, &cilium::names(), &target.namespace, recorder));
        let traffic = there.traffic(&self.settings);
        let wanted = Wanted::as_it_is(traffic, target);
        let subject = Installation::new(there.client.clone(), cilium::names(), CHANGE);
        recorder.step("traffic", wanted.start(recorder, &there.client, &subject, state)).await?;
        traffic::measured_from_now(state).await?;
        if let Some(why) = there.lacks() {
            recorder.progress("traffic", why.to_owned());
        }
        recorder.step("baseline", measured_for(BASELINE)).await
    }

    /// Removes what is ours. Logs of a cluster that is not ours are not kept: nobody asked for them.
    async fn take_down(&mut self) -> anyhow::Result<String> {
        if let Some(session) = self.state.session.take() {
            session.stop();
        }
        if let Some(cluster) = self.state.cluster.take() {
            cluster.destroy().await?;
        }
        Ok("nothing left".to_owned())
    }
}
