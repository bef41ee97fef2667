//! What one prober can do, over loopback: many flows on time, and as many probes as it can send.
//!
//! `cargo bench -p probe --bench flows -- [FLOWS] [RATE] [SECONDS]`: 1,000 flows, 100 probes a second each, 60 s.
//! The prober and its server are processes of their own, as in pods. Then the same flows ask for more than the
//! prober can do, and after them sockperf's under-load test, over loopback as well.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use model::{Class, Kind, Layer, Protocol};
use probe::clock::now_ns;
use probe::flow::{End, Expectation, FlowSpec, Path as FlowPath, Place, Policy, Token, Via};
use probe::noise::Noise;
use probe::role;
use probe::sample::{FlowSamples, Sample};
use probe::store::read_prober;
use probe::summary::Summary;
use rustix::process::{Pid, Signal, kill_process};

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
/// A probe that goes out within this time of its plan is on time, µs.
const ON_TIME_US: u32 = 2_000;
/// Probes a second of all flows together that no prober reaches.
const SATURATING: u64 = 1_000_000;
/// Seconds of each run at saturation.
const SATURATED_S: u64 = 5;
/// Unit of the times in /proc, for every Linux.
const USER_HZ: f64 = 100.0;
/// Samples of the analysis.
const SAMPLES: u32 = 10_000_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    if let Some(role) = role::role(&name.to_string_lossy()) {
        return role::run(role, args);
    }
    let numbers: Vec<u64> = args.filter_map(|arg| arg.to_string_lossy().parse().ok()).collect();
    let number = |index: usize, default: u64| numbers.get(index).copied().unwrap_or(default);
    match bench(number(0, 1_000), number(1, 100), number(2, 60), &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _gone = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(flows: u64, rate: u64, seconds: u64, out: &mut impl Write) -> Result<()> {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let token = Token::random();
    let args = [format!("{}{token}", role::TOKEN).into(), format!("udp:{port}").into()];
    let server = part(role::SERVER_NAME, args).spawn()?;
    let measured = probe(&specs(flows, S / rate, port, token), seconds);
    let saturated = probe(&specs(flows, S * flows / SATURATING, port, token), SATURATED_S);
    stop(server)?;
    let (samples, cpu, disk) = measured?;
    on_time(&samples, cpu, disk, flows * rate * seconds, seconds, out)?;
    let ours = answered_per_second(&saturated?.0);
    match sockperf()? {
        Some(theirs) => writeln!(
            out,
            "saturation   {ours} probes a second answered; sockperf under-load {theirs}; ratio {:.2}",
            ours as f64 / theirs as f64
        )?,
        None => writeln!(out, "saturation   {ours} probes a second answered; sockperf is not installed")?,
    }
    analysis(out)
}

/// The flows of the bench.
fn specs(flows: u64, period_ns: u64, port: u16, token: Token) -> Vec<FlowSpec> {
    let end = |pod: &str| End { pod: pod.into(), node: "node1".into() };
    let spec = |number| FlowSpec {
        id: format!("packet-udp/{number}"),
        kind: Kind::Packet,
        protocol: Protocol::Udp,
        layer: Layer::L3,
        client: end("client-1"),
        server: end("server-1"),
        server_nodes: Vec::new(),
        entry: None,
        path: FlowPath { place: Place::SameNode, via: Via::HostIp, policy: Policy::NoPolicy },
        service: None,
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        port,
        bytes: 0,
        token: Some(token),
        http_path: None,
        query: None,
        period_ns,
        slow_ns: 100 * MS,
        deadline_ns: 300 * MS,
        expect: Expectation::Answered,
    };
    (0..flows).map(spec).collect()
}

/// This program in another role.
fn part(name: &str, args: impl IntoIterator<Item = OsString>) -> Command {
    let mut command = program(&env::current_exe().unwrap_or_default());
    command.arg0(name).args(args).stdin(Stdio::null());
    command
}

#[expect(clippy::disallowed_methods, reason = "the one place of the bench that spawns")]
fn program(path: &Path) -> Command {
    Command::new(path)
}

fn stop(mut child: Child) -> Result<()> {
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM)?;
    child.wait()?;
    Ok(())
}

/// Lets a prober run for so long; returns its samples, the CPU seconds that it took, and the bytes on disk.
fn probe(flows: &[FlowSpec], seconds: u64) -> Result<(Vec<FlowSamples>, f64, u64)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("flows.json");
    fs::write(&file, serde_json::to_vec(flows)?)?;
    let mut prober = part(role::CLIENT_NAME, [file.into()]).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(prober.stdout.take().ok_or("the prober has no output")?);
    let pid = prober.id();
    let (samples, kept) = (folder.path().join("samples"), flows.to_vec());
    let reader = {
        let samples = samples.clone();
        // What fell due in the last moments is not decided yet.
        thread::spawn(move || read_prober(kept, lines, &samples, || now_ns() - S))
    };
    pass(Duration::from_secs(seconds + 2));
    let cpu = cpu_seconds(pid)?;
    stop(prober)?;
    let read = reader.join().map_err(|_| "the reader panicked")??;
    Ok((read, cpu, size(&samples)?))
}

fn pass(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the length of a measurement is a time, not a condition")]
    thread::sleep(time);
}

/// User and system time of a process so far, s.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / USER_HZ)
}

fn size(folder: &Path) -> Result<u64> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

fn on_time(
    flows: &[FlowSamples],
    cpu: f64,
    disk: u64,
    planned: u64,
    seconds: u64,
    out: &mut impl Write,
) -> Result<()> {
    // Exactly so many probes of each flow fall due in the time that counts.
    let within = |flow: &FlowSamples| flow.start_ns..flow.start_ns + seconds * S;
    let samples = || {
        flows
            .iter()
            .flat_map(|flow| flow.samples.iter().filter(|sample| within(flow).contains(&sample.due_ns)))
    };
    let stored = samples().count() as u64;
    let answered = samples().filter(|sample| sample.class.is_answer()).count();
    let in_time = samples().filter(|sample| sample.sent_us.is_some_and(|us| us <= ON_TIME_US)).count();
    let mut late: Vec<u32> = samples().map(|sample| sample.late_us).collect();
    late.sort_unstable();
    let share = |part: usize| 100.0 * part as f64 / stored.max(1) as f64;
    let quantile = |q: f64| late.get((q * late.len() as f64) as usize).copied().unwrap_or(0);
    writeln!(
        out,
        "flows        {} from one prober, {:.0} probes a second each\n\
         stored       {stored} of {planned} probes planned in {seconds} s\n\
         on time      {:.3} % sent within {} ms of plan; late by {} µs (median), {} µs (99 %), {} µs (99.9 %)\n\
         answered     {:.3} %\n\
         prober       {:.0} % of a core; {:.2} bytes a sample on disk",
        flows.len(),
        flows.first().map_or(0.0, |flow| S as f64 / flow.flow.period_ns as f64),
        share(in_time),
        ON_TIME_US / 1_000,
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        share(answered),
        100.0 * cpu / (seconds + 2) as f64,
        disk as f64 / stored.max(1) as f64,
    )?;
    Ok(())
}

/// Probes that came back, in time or not, a second.
fn answered_per_second(flows: &[FlowSamples]) -> u64 {
    let answered = |flow: &FlowSamples| {
        flow.samples
            .iter()
            .filter(|s| s.class.is_answer() || s.class == Class::Lost && s.ended_us.is_some())
            .count()
    };
    let ended = || {
        flows
            .iter()
            .flat_map(|flow| &flow.samples)
            .filter_map(|s| s.ended_us.map(|us| s.due_ns + u64::from(us) * 1_000))
    };
    let (first, last) = (ended().min().unwrap_or(0), ended().max().unwrap_or(S));
    flows.iter().map(answered).sum::<usize>() as u64 * S / (last - first).max(1)
}

/// Messages a second that sockperf gets answered when it sends as fast as it can; none where it is not installed.
fn sockperf() -> Result<Option<u64>> {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port().to_string();
    let address = ["-i", "127.0.0.1", "-p", &port];
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    let server = match quiet(program(Path::new("sockperf")).arg("server").args(address)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        server => server?,
    };
    let time = SATURATED_S.to_string();
    let output = program(Path::new("sockperf"))
        .arg("under-load")
        .args(address)
        .args(["-t", &time, "--mps=max", "--reply-every=1"])
        .stdin(Stdio::null())
        .output();
    stop(server)?;
    let text = String::from_utf8_lossy(&output?.stdout).into_owned();
    let received = text
        .split("ReceivedMessages=")
        .nth(1)
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let received: u64 =
        received.ok_or_else(|| format!("sockperf says no number of messages: {text}"))?.parse()?;
    Ok(Some(received / SATURATED_S))
}

/// How long it takes to find the outages and the latencies of ten million samples.
fn analysis(out: &mut impl Write) -> Result<()> {
    let spec = specs(1, MS, 1).remove(0);
    let sample = |seq: u32| {
        // Now and then some probes in a row are lost.
        let lost = seq % 10_000 < 20;
        Sample {
            seq,
            due_ns: u64::from(seq) * MS,
            class: if lost { Class::Lost } else { Class::Answered },
            late_us: 30 + seq % 64,
            sent_us: Some(40 + seq % 64),
            ended_us: (!lost).then_some(200 + seq % 512),
            cut: false,
        }
    };
    let flow =
        FlowSamples { flow: spec, start_ns: 0, samples: (0..SAMPLES).map(sample).collect(), fault: None };
    let began = Instant::now();
    let flows = [flow];
    let noise = Noise::of(&flows, 0, u64::MAX);
    let summary = Summary::of(&flows[0], 0, u64::MAX, &noise);
    writeln!(
        out,
        "analysis     {SAMPLES} samples, {} outages, in {:.2} s on one core",
        summary.outages.measured.len(),
        began.elapsed().as_secs_f64()
    )?;
    Ok(())
}
