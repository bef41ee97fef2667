//! `seatrial calibrate`: outages of known length, and how exactly they are measured on this machine; and
//! disturbances of known cause, and whether it is named.

mod causes;
mod clean;
mod outages;
mod rivals;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::sandbox::SandboxProvider;
use cluster::turn::{Start, TurnState, Turns};
use cluster::{BootContext, ClusterRequest, Component, Components, Ledger, Provider as _};
use probe::calibration::{Accuracy, Comparison, Injected, compare};
use probe::clock::now_ns;
use probe::deploy::{Deployment, ServiceName, Session, Target};
use probe::flow::Kind;
use probe::processors::Shortage;
use probe::traffic::{HTTP_PORT, Traffic};
use report::run::Run;
use report::summary::shortage;
use serde::{Deserialize, Serialize};
use subject::standin::Standin;
use subject::{Facts, Installation, Subject as _};
use tokio::sync::mpsc::unbounded_channel;

use self::rivals::Rivals;
use crate::bundle::Bundle;
use crate::components::Place;
use crate::exit::{self, Usage};
use crate::id::new_id;
use crate::provider::Provider;
use crate::run::procedure::Procedure;
use crate::run::recipe::{Recipe, Story};
use crate::run::request::Request;
use crate::scratch::Scratch;
use crate::steps::Step;
use crate::subjects;
use crate::{errors, paths, run};

/// Where the probes go.
const NAMESPACE: &str = "seatrial-probes";

/// Arguments of `seatrial calibrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Outages to inject, half of them lost packets, half of them reset connections.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    count: u32,
    /// Inject so many disturbances of known cause instead, and say which causes were named.
    #[arg(long, value_name = "N", conflicts_with = "count", value_parser = clap::value_parser!(u32).range(1..=500))]
    causes: Option<u32>,
    /// Watch so many windows of 20 s in which nothing is done instead, and say what was found in them.
    #[arg(long, value_name = "N", conflicts_with_all = ["count", "causes"], value_parser = clap::value_parser!(u32).range(1..=1_000))]
    clean: Option<u32>,
    /// Run fping, sockperf, hey and oha beside, as far as they are installed, and say how exact each is; text only.
    #[arg(long, conflicts_with_all = ["causes", "clean"])]
    rivals: bool,
    /// Probes a second on each flow.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=1_000))]
    rate: u32,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// A calibration, as it is printed and kept.
#[derive(Debug, Serialize, Deserialize)]
struct Calibration {
    schema: String,
    at: String,
    accuracy: Accuracy,
    /// What the host took from the processors meanwhile, ms.
    #[serde(default)]
    stolen_ms: Option<u64>,
    /// The part of the time in which some task waited for a processor.
    #[serde(default)]
    cpu_pressure: Option<f64>,
    comparisons: Vec<Comparison>,
}

/// Runs the command.
pub async fn run(args: Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    errors::machine_is_ready(&SandboxProvider::default())?;
    if let Some(count) = args.causes {
        return causes::run(&args, count, out).await;
    }
    if let Some(count) = args.clean {
        return clean::run(&args, count, out).await;
    }
    let id = new_id();
    let ledger = Ledger::new(&paths::state());
    let logs = Scratch::new("logs-")?;
    let ended = tokio::select! {
        ended = measure(&args, &id, &ledger, logs.path(), err) => Some(ended),
        signal = tokio::signal::ctrl_c() => { signal.context("Ctrl-C cannot be waited for")?; None }
    };
    cluster::collect(&ledger, &id).await?;
    let Some((calibration, rivals)) = ended.transpose()? else { return Ok(exit::INTERRUPTED) };
    keep(&calibration)?;
    match args.output {
        Output::Text => write!(out, "{rivals}{}", text(&calibration))?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&calibration)?)?,
    }
    Ok(exit::PASSED)
}

/// Takes steps under the standard traffic on a cluster of its own, and returns the record.
async fn watched(args: &Args, steps: Vec<Step>) -> anyhow::Result<Run> {
    let folder = Scratch::new("calibrate-")?;
    let (version, subject) = (version()?, Standin::find().map_err(Usage::from)?);
    // The folder goes with the command: nobody runs this again from its recipe.
    let story =
        Story::Run { from: version.to_string(), to: version.to_string(), rollback: false, budgets: None };
    let request = Request {
        id: new_id(),
        recipe: Recipe::new(subject.option(), 2, &BTreeMap::new(), story),
        procedure: Procedure { first: version, steps },
        again: "seatrial calibrate".to_owned(),
        budgets: None,
        subject: Arc::new(subject),
        nodes: 2,
        config: BTreeMap::new(),
        there: None,
        policies: BTreeMap::new(),
        names: false,
        required: Vec::new(),
        out: folder.path().to_owned(),
        keep: false,
        verbose: false,
        provider: Provider::sandbox(args.place.clone()).provider()?,
        components: Components::new(args.place.components.clone(), paths::cache()),
    };
    run::execute(&request).await
}

/// The version whose traffic is measured.
fn version() -> anyhow::Result<model::Version> {
    Ok(guide::resolve(&"1.6".parse()?).map_err(|e| Usage(e.to_string()))?)
}

/// Keeps it beside the ledger: what is measured later on this machine can be held against it.
fn keep(calibration: &Calibration) -> anyhow::Result<()> {
    let folder = paths::state();
    let path = folder.join("calibration.json");
    let failed = || format!("cannot write {}", path.display());
    std::fs::create_dir_all(&folder).with_context(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder).with_context(failed)?;
    serde_json::to_writer_pretty(&mut file, calibration).with_context(failed)?;
    file.persist(&path).with_context(failed)?;
    Ok(())
}

/// The last calibration on this machine, in a sentence; none where none can be read.
pub fn last() -> Option<String> {
    let text = std::fs::read(paths::state().join("calibration.json")).ok()?;
    let Calibration { at, accuracy: a, .. } = serde_json::from_slice(&text).ok()?;
    Some(format!(
        "{at}: {} of {} injected outages consistent, error {:.2} ms (median), {:.2} ms (worst), {:.1} ms \
         between two probes",
        a.consistent, a.injected, a.error_median_ms, a.error_max_ms, a.period_ms
    ))
}

/// Boots a cluster, injects the outages, and compares, with other tools too if they were asked for; the cluster ends
/// with the last handle on it.
async fn measure(
    args: &Args,
    id: &str,
    ledger: &Ledger,
    logs: &Path,
    err: &mut dyn Write,
) -> anyhow::Result<(Calibration, String)> {
    let _turn = turn(id, err).await?;
    let components = Components::new(args.place.components.clone(), paths::cache());
    let (version, standin) = (version()?, Standin::find().map_err(Usage::from)?);
    let helm = components.resolve(Component::Helm, &|_| {}).await?;
    let bundle = Bundle::new().await?;
    let prepared = subjects::prepare(&standin, &[version], &bundle, &components, &helm).await?;
    let (probe_image, dns_image) = (bundle.role("probe"), bundle.role(cluster::dns::ROLE));
    let mut images = vec![bundle.role("pause"), probe_image.clone(), dns_image];
    images.extend(prepared.images());
    writeln!(err, "booting two nodes")?;
    let archives = prepared.archives();
    let request = ClusterRequest { images, archives, ..ClusterRequest::new(id, 2, logs.to_owned()) };
    let provider = SandboxProvider { api_port: args.place.api_port, dual_stack: false };
    let context = BootContext { components: &components, ledger, progress: &|_| {} };
    let sandbox = provider.boot(request, context).await?;
    let client = sandbox.client().await?;
    let deadline = Duration::from_secs(60);
    cluster::nodes_registered(&client, 2, deadline).await?;
    cluster::namespace_ready(&client, cluster::dns::NAMESPACE, deadline).await?;
    let api = sandbox.api_inside();
    let facts = Facts::read(&client, helm, cluster::components::KUBERNETES, api, true).await?;
    let subject = Installation::new(client.clone(), standin.names(), deadline);
    subject.apply(&prepared.prerequisites(&facts)?).await?;
    for release in prepared.releases(&facts).await? {
        subject.install(&release.chart, &[].into()).await?;
    }
    cluster::nodes_ready(&client, 2, deadline).await?;

    let nodes: Vec<String> = facts.nodes.into_iter().map(|(name, _)| name).collect();
    let traffic = Traffic::calibration(&nodes, args.rate);
    let target = Target {
        namespace: NAMESPACE.to_owned(),
        run_id: id.to_owned(),
        image: probe_image.reference,
        dns: ServiceName {
            namespace: cluster::dns::NAMESPACE.to_owned(),
            name: cluster::dns::NAME.to_owned(),
        },
    };
    let servers = Deployment::servers(client, target, None, &traffic).await?;
    let samples = Scratch::new("samples-")?;
    // Nothing is put down to a cause here.
    let session = servers.clients(samples.path(), unbounded_channel().0).await?;
    let from_ns = session.flowing(Duration::from_secs(30)).await?;
    let folder = ledger.folder(id);
    let schedule = outages::schedule(args.count);
    let server =
        session.traffic().flows.iter().find_map(|flow| flow.address.filter(|_| flow.kind == Kind::Packet));
    let server = server.context("the packet flow has no server")?.to_string();
    let rivals = if args.rivals {
        let ends = rivals::Ends {
            folder: &folder,
            nodes: [&nodes[0], &nodes[1]],
            pods: ["client-1", "open-server"],
            server: server.clone(),
            http_port: HTTP_PORT,
        };
        Some(Rivals::start(&ends, outages::seconds(&schedule)).await?)
    } else {
        None
    };
    let injected = outages::inject(&schedule, &folder, &nodes[1], &server, err).await?;
    let compared = async {
        let calibration = analyse(&session, &injected, from_ns).await?;
        let table = match rivals {
            Some(rivals) => rivals.table(&injected, &calibration.comparisons).await?,
            None => String::new(),
        };
        Ok((calibration, table))
    };
    let compared = compared.await;
    sandbox.destroy().await?;
    compared
}

/// Waits until nobody else measures; nobody else does as long as what it returns is there.
async fn turn(id: &str, err: &mut dyn Write) -> anyhow::Result<Start> {
    let turns = Turns::new(&paths::state());
    Ok(match turns.try_start(id, false)? {
        TurnState::Ready(start) => start,
        TurnState::Blocked(other) => {
            writeln!(err, "waits until run {other} has measured")?;
            turns.start(id, false, &|_| ()).await?
        }
    })
}

async fn analyse(session: &Session, injected: &[Injected], from_ns: u64) -> anyhow::Result<Calibration> {
    let to_ns = now_ns();
    let delivered = session.finish().await;
    if let Some(failure) = delivered.failure {
        return Err(failure.into());
    }
    let shortage = Shortage::of(&delivered.processors, from_ns, to_ns);
    let (comparisons, false_alarms) = compare(injected, &delivered.flows, (from_ns, to_ns));
    let probed = delivered.flows.iter().find(|flow| flow.flow.kind == Kind::Packet);
    let period_ms = probed.map_or(0.0, |flow| flow.flow.period_ns as f64 / 1e6);
    Ok(Calibration {
        schema: "seatrial/calibration/v1".to_owned(),
        at: jiff::Timestamp::now().to_string(),
        accuracy: Accuracy::of(&comparisons, false_alarms, period_ms),
        stolen_ms: shortage.stolen_ms,
        cpu_pressure: shortage.pressure,
        comparisons,
    })
}

fn text(calibration: &Calibration) -> String {
    let Calibration { accuracy: a, stolen_ms, cpu_pressure, .. } = calibration;
    format!(
        "injected     {} outages, {:.1} ms between two probes; injected lengths known to {:.1} ms\n\
         consistent   {} of {}\n\
         class right  {} of {}\n\
         false alarms {}\n\
         error        median {:.2} ms, 95 % {:.2} ms, worst {:.2} ms\n\
         bracket      median {:.2} ms wide, worst {:.2} ms; {} of {} no wider than two periods and 2 ms\n\
         machine      {}\n",
        a.injected,
        a.period_ms,
        a.injector_slack_median_ms,
        a.consistent,
        a.injected,
        a.class_right,
        a.injected,
        a.false_alarms,
        a.error_median_ms,
        a.error_p95_ms,
        a.error_max_ms,
        a.slack_median_ms,
        a.slack_max_ms,
        a.narrow,
        a.injected,
        shortage(stolen_ms.map(|ms| ms as f64), *cpu_pressure).unwrap_or_else(|| "not known".to_owned()),
    )
}
