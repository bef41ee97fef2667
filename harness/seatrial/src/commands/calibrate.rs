//! `seatrial calibrate`: outages of known length, and how exactly they are measured on this machine.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use cluster::{Cni, Component, Components, Ledger, Sandbox, SandboxRequest};
use probe::calibration::{Accuracy, Comparison, Fault, Injected, compare};
use probe::clock::now_ns;
use probe::deploy::{Deployment, ServiceName, Session, Target};
use probe::flow::Kind;
use probe::traffic::{TCP_PORT, Traffic, UDP_PORT};
use serde::{Deserialize, Serialize};
use subject::Subject;

use crate::bundle::Bundle;
use crate::commands::cluster::{Place, new_id};
use crate::exit::{self, Usage};
use crate::subjects::{self, SubjectName};
use crate::{errors, paths};

/// Where the probes go.
const NAMESPACE: &str = "seatrial-probes";
/// The nftables table that holds the fault; dormant but for the length of an outage.
const TABLE: &str = "seatrial_fault";
/// Shortest and longest outage, s.
const LENGTHS: (f64, f64) = (0.02, 5.0);
/// Shortest and longest time between two outages, s: every flow is steady again.
const GAPS: (f64, f64) = (0.4, 0.8);

/// Arguments of `seatrial calibrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Outages to inject, half of them lost packets, half of them reset connections.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    count: u32,
    /// Probes a second on each flow.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=1_000))]
    rate: u32,
    /// What the traffic goes through.
    #[arg(long, value_enum, default_value_t = SubjectName::Standin)]
    subject: SubjectName,
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
    comparisons: Vec<Comparison>,
}

/// Runs the command.
pub(crate) async fn run(args: Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    errors::machine_is_ready()?;
    let id = new_id();
    let ledger = Ledger::new(&paths::state());
    let logs = tempfile::Builder::new().prefix(&format!("seatrial-{id}-logs-")).tempdir()?;
    let ended = tokio::select! {
        ended = measure(&args, &id, &ledger, logs.path(), err) => Some(ended),
        signal = tokio::signal::ctrl_c() => { signal.context("Ctrl-C cannot be waited for")?; None }
    };
    cluster::sandbox::collect(&ledger, &id).await?;
    let Some(calibration) = ended.transpose()? else { return Ok(exit::INTERRUPTED) };
    keep(&calibration)?;
    match args.output {
        Output::Text => write!(out, "{}", text(&calibration.accuracy))?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&calibration)?)?,
    }
    Ok(exit::PASSED)
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
pub(crate) fn last() -> Option<String> {
    let text = std::fs::read(paths::state().join("calibration.json")).ok()?;
    let Calibration { at, accuracy: a, .. } = serde_json::from_slice(&text).ok()?;
    Some(format!(
        "{at}: {} of {} injected outages consistent, error {:.2} ms (median), {:.2} ms (worst), {:.1} ms \
         between two probes",
        a.consistent, a.injected, a.error_median_ms, a.error_max_ms, a.period_ms
    ))
}

/// Boots a cluster, injects the outages, and compares; the cluster ends with the last handle on it.
async fn measure(
    args: &Args,
    id: &str,
    ledger: &Ledger,
    logs: &Path,
    err: &mut dyn Write,
) -> anyhow::Result<Calibration> {
    let components = Components::new(args.place.components.clone(), paths::cache());
    let version = guide::resolve(&"1.6".parse()?).map_err(|e| Usage(e.to_string()))?;
    let helm = components.resolve(Component::Helm, &|_| {}).await?;
    let bundle = Bundle::new().await?;
    let prepared = subjects::prepare(args.subject, &[version], &bundle, &components).await?;
    let (probe_image, dns_image) = (bundle.role("probe"), bundle.role(cluster::dns::ROLE));
    let mut images = vec![bundle.role("pause"), probe_image.clone(), dns_image];
    images.extend(prepared.images());
    writeln!(err, "booting two nodes")?;
    let request = SandboxRequest {
        id: id.to_owned(),
        nodes: 2,
        cni: Cni::None,
        api_port: args.place.api_port,
        keep: false,
        logs: logs.to_owned(),
        images,
    };
    let sandbox = Sandbox::boot(request, &components, ledger, &|_| {}).await?;
    let client = cluster::client(&sandbox.kubeconfig()).await?;
    let deadline = Duration::from_secs(60);
    cluster::nodes_registered(&client, 2, deadline).await?;
    cluster::namespace_ready(&client, subject::NAMESPACE, deadline).await?;
    let (host, port) = cluster::sandbox::API_INSIDE;
    let api = (host.to_owned(), port);
    let facts = subjects::Facts::read(&client, helm, cluster::components::KUBERNETES, api).await?;
    let subject = Subject::new(client.clone(), deadline);
    subject.apply(&prepared.prerequisites(&facts)).await?;
    for release in prepared.releases(&facts)? {
        subject.install(&release.chart, &[].into()).await?;
    }
    cluster::nodes_ready(&client, 2, deadline).await?;

    let nodes: Vec<String> = facts.nodes.into_iter().map(|(name, _)| name).collect();
    let traffic = Traffic::calibration(&nodes, args.rate);
    let target = Target {
        namespace: NAMESPACE.to_owned(),
        run_id: id.to_owned(),
        image: probe_image.reference,
        dns: ServiceName { namespace: subject::NAMESPACE.to_owned(), name: cluster::dns::NAME.to_owned() },
    };
    let servers = Deployment::servers(client, target, &traffic).await?;
    let samples = tempfile::tempdir()?;
    let session = servers.clients(samples.path()).await?;
    let from_ns = session.flowing(Duration::from_secs(30)).await?;
    let injected = inject(args.count, &ledger.folder(id), &nodes[1], err).await?;
    let calibration = analyse(&session, &injected, from_ns).await;
    sandbox.destroy().await?;
    calibration
}

async fn analyse(session: &Session, injected: &[Injected], from_ns: u64) -> anyhow::Result<Calibration> {
    let to_ns = now_ns();
    let delivered = session.finish().await;
    if let Some(failure) = delivered.failure {
        return Err(failure.into());
    }
    let (comparisons, false_alarms) = compare(injected, &delivered.flows, (from_ns, to_ns));
    let probed = delivered.flows.iter().find(|flow| flow.flow.kind == Kind::Packet);
    let period_ms = probed.map_or(0.0, |flow| flow.flow.period_ns as f64 / 1e6);
    Ok(Calibration {
        schema: "seatrial/calibration/v1".to_owned(),
        at: jiff::Timestamp::now().to_string(),
        accuracy: Accuracy::of(&comparisons, false_alarms, period_ms),
        comparisons,
    })
}

/// Injects outages of random lengths at random moments, one after the other.
async fn inject(
    count: u32,
    cluster: &Path,
    node: &str,
    err: &mut dyn Write,
) -> anyhow::Result<Vec<Injected>> {
    let mut injected = Vec::new();
    for index in 0..count {
        let fault = if index % 2 == 0 { Fault::Drop } else { Fault::Reset };
        // Short ones are the hard ones: as many between 20 and 200 ms as between 0.2 and 2 s.
        let length = LENGTHS.0 * (LENGTHS.1 / LENGTHS.0).powf(fastrand::f64());
        pass(GAPS.0 + (GAPS.1 - GAPS.0) * fastrand::f64()).await;
        nft(cluster, node, &rules(fault)).await?;
        let from_ns = set_dormant(cluster, node, false).await?;
        pass(length).await;
        let to_ns = set_dormant(cluster, node, true).await?;
        nft(cluster, node, &format!("delete table inet {TABLE}")).await?;
        injected.push(Injected { fault, from_ns, to_ns });
        writeln!(err, "{} of {count}: {fault} for {:.0} ms", index + 1, length * 1e3)?;
    }
    pass(GAPS.1).await;
    Ok(injected)
}

/// Lets so many seconds pass.
async fn pass(seconds: f64) {
    #[expect(clippy::disallowed_methods, reason = "the length of an outage is a time, not a condition")]
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

fn rules(fault: Fault) -> String {
    let (hook, rule) = match fault {
        Fault::Drop => ("prerouting", format!("udp dport {UDP_PORT} drop")),
        Fault::Reset => ("forward", format!("tcp dport {TCP_PORT} reject with tcp reset")),
    };
    format!(
        "add table inet {TABLE} {{ flags dormant; }}; add chain inet {TABLE} faults {{ type filter hook {hook} \
         priority -400; }}; add rule inet {TABLE} faults {rule}"
    )
}

/// Commits rules on a node.
async fn nft(cluster: &Path, node: &str, rules: &str) -> anyhow::Result<()> {
    cluster::sandbox::exec(cluster, node, &["nft", rules], None).await?;
    Ok(())
}

/// Puts the fault in force, or lifts it; returns the times just before and just after, ns.
async fn set_dormant(cluster: &Path, node: &str, dormant: bool) -> anyhow::Result<(u64, u64)> {
    let done = cluster::sandbox::set_dormant(cluster, node, TABLE, dormant).await?;
    Ok((u64::try_from(done.started_ns)?, u64::try_from(done.ended_ns)?))
}

fn text(accuracy: &Accuracy) -> String {
    let a = accuracy;
    format!(
        "injected     {} outages, {:.1} ms between two probes; injected lengths known to {:.1} ms\n\
         consistent   {} of {}\n\
         class right  {} of {}\n\
         false alarms {}\n\
         error        median {:.2} ms, 95 % {:.2} ms, worst {:.2} ms\n\
         bracket      median {:.2} ms wide, worst {:.2} ms\n",
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
    )
}
