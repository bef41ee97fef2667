//! Upgrades on kind clusters. They need Docker, a node image (`SEATRIAL_KIND_IMAGE`, or one of `ci/kind-node-image`)
//! and the kind tool.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use model::Layer;
use nix::sys::signal::Signal;
use report::run::{Flow, Outage, Verdict};

use crate::cluster;
use crate::command::{Running, Said, check, component, record, run, seatrial, tool};
use crate::kills::signal;
use crate::scenario;

const UPGRADE: [&str; 8] = ["run", "1.5", "1.6", "--subject", "standin", "--rollback", "--provider", "kind"];

/// Budgets for a measurement on kind on a small machine.
pub(crate) const COARSE_BUDGETS: &str = include_str!("coarse-budgets.yaml");

pub(crate) fn docker(arguments: &[&str]) -> Result<Said, Failed> {
    run(&mut tool("docker", arguments))?.expect_code(0)
}

/// Everything that Docker holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held(BTreeSet<String>);

impl Held {
    pub(crate) fn take() -> Result<Self, Failed> {
        let kinds: [&[&str]; 4] = [
            &["ps", "--all", "--format", "container {{.ID}} {{.Names}} {{.State}}"],
            &["volume", "ls", "--format", "volume {{.Name}}"],
            &["network", "ls", "--format", "network {{.Name}}"],
            &["image", "ls", "--all", "--format", "image {{.Repository}}:{{.Tag}}"],
        ];
        let mut held = BTreeSet::new();
        for kind in kinds {
            held.extend(docker(kind)?.out.lines().map(str::to_owned));
        }
        Ok(Self(held))
    }

    pub(crate) fn is_as_before(&self) -> Result<(), Failed> {
        let now = Self::take()?;
        check(now == *self, format!("Docker held {:?} before, and now {:?}", self.0, now.0))
    }
}

/// The roles of the components that caused outages, by flow, without those that noise explains. Whether a cut shows as
/// closed, reset or refused depends on the moment, and differs between two runs in one sandbox too.
type Causes = BTreeMap<String, BTreeSet<String>>;

fn causes<'a>(flows: impl Iterator<Item = &'a Flow>) -> Causes {
    let role = |outage: &Outage| {
        let event = outage.attribution.as_ref().map_or("", |cause| cause.event.as_str());
        event.split(' ').next().unwrap_or_default().to_owned()
    };
    let roles = |flow: &Flow| flow.outages.iter().filter(|outage| !outage.noisy).map(role).collect();
    flows.map(|flow| (flow.id.clone(), roles(flow))).collect()
}

/// A scenario's file runs on kind with coarser budgets only, and its report is that of a sandbox: the same flows, with
/// outages of the same causes, but for new pods, and no finding.
pub(crate) fn same_as_in_a_sandbox() -> Result<(), Failed> {
    let before = Held::take()?;
    let out = tempfile::tempdir()?;
    let file = out.path().join("upgrade-1.5-1.6.yaml");
    std::fs::write(&file, format!("{}budgets:\n{COARSE_BUDGETS}", include_str!("../upgrade-1.5-1.6.yaml")))?;
    let runs = out.path().join("runs");
    let mut command = seatrial(&["scenario", "run", "--arm", "followed", "--subject", "standin"]);
    command.args(["--provider", "kind", "--out"]).args([&runs, &file]);
    run(&mut command)?.expect_code(0)?.expect_words(&["scenario upgrade-1.5-1.6/followed: as expected"])?;
    before.is_as_before()?;
    let kind = record(&std::fs::read_dir(&runs)?.next().ok_or("no run folder")??.path())?;
    let sandbox = scenario::in_sandbox("upgrade-1.5-1.6", "followed")?;
    check(kind.provider.name == "kind", format!("{:?}", kind.provider))?;
    for record in [&kind, &sandbox] {
        check(record.verdict == Verdict::Passed, format!("{}: {}", record.verdict, record.reason))?;
        check(record.findings.is_empty(), format!("{:?}", record.findings))?;
    }
    // A new pod waits for an agent that is away at that moment, and only one of the two runs may create a pod then.
    let (traffic, new_pods) =
        (|flow: &&Flow| flow.layer != Layer::Control, |flow: &&Flow| flow.layer == Layer::Control);
    for record in [&kind, &sandbox] {
        let causes = causes(record.flows.iter().filter(new_pods));
        check(!causes.is_empty(), "no flow goes to new pods")?;
        check(causes.values().flatten().all(|role| role == "agent"), format!("new pods: {causes:#?}"))?;
    }
    let (kind, sandbox) =
        (causes(kind.flows.iter().filter(traffic)), causes(sandbox.flows.iter().filter(traffic)));
    check(
        !sandbox.is_empty() && sandbox.values().any(|roles| !roles.is_empty()),
        "there was no outage at all",
    )?;
    check(kind == sandbox, format!("kind: {kind:#?}\nsandbox: {sandbox:#?}"))
}

/// Once with a kill while kind creates the nodes, once with one in the midst of a run: `gc` removes what is left, and
/// a kind cluster that is none of ours stays as it is.
pub(crate) fn killed() -> Result<(), Failed> {
    let foreign = Foreign::start()?;
    let ended = killed_beside(&foreign);
    foreign.end()?;
    ended
}

fn killed_beside(foreign: &Foreign) -> Result<(), Failed> {
    let before = Held::take()?;
    for moment in [["progress", "kind creates the nodes"], ["step-started", "baseline"]] {
        let mut running = Running::start(&UPGRADE)?;
        running.wait_for_event(&moment)?;
        // Far enough for containers to be there.
        running.let_run(Duration::from_secs(3))?;
        let id = running.id().ok_or("no run folder")?;
        signal(&running, Signal::SIGKILL)?;
        running.ended()?;
        check(
            docker(&["ps", "--all"])?.out.contains(&id),
            "no container was left: the kill came too early or too late",
        )?;
        let listed = run(&mut seatrial(&["cluster", "list"]))?.expect_code(0)?.expect_words(&[&id])?;
        check(!listed.out.contains(foreign.name), format!("it lists a foreign cluster: {}", listed.out))?;
        collected(&id)?;
        before.is_as_before()?;
    }
    Ok(())
}

/// Lets `gc` run until it has removed the cluster: while kind itself is at work, the cluster is alive.
fn collected(id: &str) -> Result<(), Failed> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let said = run(&mut seatrial(&["gc"]))?.expect_code(0)?;
        if said.out.contains(&format!("removed {id}")) {
            return Ok(());
        }
        check(Instant::now() < deadline, format!("gc does not remove {id}: {}", said.out))?;
        std::thread::park_timeout(Duration::from_millis(500));
    }
}

/// After Ctrl-C nothing is left, while kind creates the nodes and later.
pub(crate) fn interrupted() -> Result<(), Failed> {
    let before = Held::take()?;
    for moment in [["progress", "kind creates the nodes"], ["step-started", "baseline"]] {
        let mut running = Running::start(&UPGRADE)?;
        running.wait_for_event(&moment)?;
        running.let_run(Duration::from_secs(3))?;
        signal(&running, Signal::SIGINT)?;
        let code = running.ended()?;
        check(code == Some(130), format!("exit code {code:?}\n{}", running.console()))?;
        check(running.record()?.verdict == Verdict::Interrupted, running.console())?;
        before.is_as_before()?;
    }
    Ok(())
}

/// A cluster by hand, with kube-proxy and a plain network: it is kept, `gc` leaves it alone, and it goes.
pub(crate) fn up_and_down() -> Result<(), Failed> {
    let before = Held::take()?;
    let up = run(&mut seatrial(&["cluster", "up", "--provider", "kind"]))?
        .expect_code(0)?
        .expect_words(&["2 nodes Ready", "export KUBECONFIG="])?;
    let id = up.out.lines().next().unwrap_or_default().to_owned();
    let node = format!("seatrial-{id}-worker");
    let ended = answers(&id, &node);
    run(&mut seatrial(&["cluster", "down", &id]))?.expect_code(0)?;
    ended?;
    before.is_as_before()
}

fn answers(id: &str, node: &str) -> Result<(), Failed> {
    cluster::is_kept(id)?;
    run(&mut seatrial(&["cluster", "exec", id, node, "--", "hostname"]))?
        .expect_code(0)?
        .expect_words(&[node])?;
    run(&mut seatrial(&["cluster", "exec", id, "node2", "--", "hostname"]))?
        .expect_code(3)?
        .expect_words(&["the cluster has no node node2", node])?;
    Ok(())
}

/// What kind needs and does not get is named, with the remedy, and the report is written.
pub(crate) fn refused() -> Result<(), Failed> {
    let before = Held::take()?;
    let refusals: [(&str, &str, &[&str], &str); 3] = [
        ("DOCKER_HOST", "unix:///no/such.sock", &[], "Docker does not respond"),
        (
            "IGNORED",
            "",
            &["--kind-image", "seatrial/no-such-image:1"],
            "the node image seatrial/no-such-image:1",
        ),
        (
            "IGNORED",
            "",
            &["--docker-network", "seatrial-no-such-network"],
            "Docker has no network seatrial-no-such-network",
        ),
    ];
    for (variable, value, more, words) in refusals {
        let out = tempfile::tempdir()?;
        let mut command = seatrial(&UPGRADE);
        command.args(more).env(variable, value).arg("--out").arg(out.path());
        run(&mut command)?.expect_code(3)?.expect_words(&[words])?;
        let folder = std::fs::read_dir(out.path())?.next().ok_or("no run folder")??.path();
        check(folder.join("junit.xml").exists(), "there is no JUnit report")?;
    }
    old_kind()?;
    before.is_as_before()
}

/// A kind that is older than needed, where it is found first.
fn old_kind() -> Result<(), Failed> {
    let (folder, out) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let kind = folder.path().join("kind");
    std::fs::write(&kind, "#!/bin/sh\necho kind v0.17.0 go1.19.2 linux/amd64\n")?;
    std::fs::set_permissions(&kind, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut command = seatrial(&UPGRADE);
    command.env("KUBEBUILDER_ASSETS", folder.path()).arg("--out").arg(out.path());
    let words = [kind.to_str().unwrap_or_default(), "kind v0.17.0", "v0.27 or newer is needed"];
    run(&mut command)?.expect_code(3)?.expect_words(&words)?;
    let folder = std::fs::read_dir(out.path())?.next().ok_or("no run folder")??.path();
    check(folder.join("junit.xml").exists(), "there is no JUnit report")
}

/// Docker dies in the midst of a run, and is back: the run says so, and `gc` removes the cluster. Only of a daemon that
/// is nobody else's: the one whose process id is in this file.
pub(crate) fn docker_dies(pidfile: &Path) -> Result<(), Failed> {
    let before = Held::take()?;
    let mut running = Running::start(&UPGRADE)?;
    running.wait_for_event(&["step-started", "baseline"])?;
    let daemon: i32 = std::fs::read_to_string(pidfile)?.trim().parse()?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), Signal::SIGKILL)?;
    let code = running.ended()?;
    let id = running.id().ok_or("no run folder")?;
    let started = run(tool("../../ci/docker/start", &[]).arg(pidfile))?;
    started.expect_code(0)?;
    let (record, console) = (running.record()?, running.console());
    check(code == Some(3) && record.verdict == Verdict::Errored, format!("exit code {code:?}\n{console}"))?;
    let says = console.contains("Docker does not respond") && console.contains("run `seatrial gc`");
    check(says && running.folder().is_some_and(|folder| folder.join("junit.xml").exists()), console)?;
    collected(&id)?;
    before.is_as_before()
}

/// One node, and no network for its pods.
const FOREIGN: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnetworking: {disableDefaultCNI: true, kubeProxyMode: none}\n";

/// A kind cluster that somebody else has made.
struct Foreign {
    name: &'static str,
    kind: String,
    folder: tempfile::TempDir,
}

impl Foreign {
    fn start() -> Result<Self, Failed> {
        let kind = component("kind")?;
        let doctor = run(&mut seatrial(&["doctor"]))?;
        let image = doctor.out.lines().find_map(|line| line.strip_prefix("ok       node image"));
        let image = std::env::var("SEATRIAL_KIND_IMAGE").ok().or(image.map(|image| image.trim().to_owned()));
        let foreign = Self { name: "somebody-elses", kind, folder: tempfile::tempdir()? };
        let mut words = vec!["create", "cluster", "--wait", "0s"];
        words.extend(image.iter().flat_map(|image| ["--image", image.as_str()]));
        match foreign.command(&words) {
            Ok(_) => Ok(foreign),
            Err(e) => {
                foreign.end()?;
                Err(e)
            }
        }
    }

    fn command(&self, words: &[&str]) -> Result<Said, Failed> {
        let config = self.folder.path().join("config.yaml");
        std::fs::write(&config, FOREIGN)?;
        let mut command = tool(&self.kind, words);
        if words.first() == Some(&"create") {
            command.arg("--config").arg(config);
        }
        command.args(["--name", self.name, "--kubeconfig"]).arg(self.folder.path().join("kubeconfig"));
        run(&mut command)?.expect_code(0)
    }

    fn end(&self) -> Result<(), Failed> {
        self.command(&["delete", "cluster"]).map(drop)
    }
}
