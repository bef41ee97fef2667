//! The order of a run, however it ends, on a provider without a cluster.

use cluster::fake::FakeProvider;
use cluster::ledger::Entry;
use cluster::{
    BootContext, Capabilities, Cluster, ClusterRequest, Cni, Components, Ledger, Provider, ProviderError,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rstest::rstest;
use tokio::sync::watch::Sender;

use super::*;
use crate::judge::Measured;
use crate::place::Needs;
use crate::record::Audience;

/// The id of every run here.
const ID: &str = "test";
/// The steps of the procedure after the boot.
const STEPS: [&str; 3] = ["install", "traffic", "upgrade"];

/// A procedure of which one step fails, or is interrupted.
struct Script {
    fails_in: Option<&'static str>,
    interrupted_in: Option<&'static str>,
    interrupts: Sender<usize>,
}

impl Script {
    async fn act(&self, step: &str) -> anyhow::Result<()> {
        if self.interrupted_in == Some(step) {
            self.interrupts.send_modify(|count| *count += 1);
            std::future::pending::<()>().await;
        }
        anyhow::ensure!(self.fails_in != Some(step), "{step} failed");
        Ok(())
    }
}

impl Procedure for Script {
    async fn follow(&mut self, session: &mut Session<'_>) -> anyhow::Result<()> {
        session.take_turn().await?;
        let recorder = Arc::clone(&session.recorder);
        recorder.step("before", self.act("before")).await?;
        let needs = Needs {
            images: Vec::new(),
            archives: Vec::new(),
            dual_stack: false,
            cni: Cni::None,
            node_image: None,
            namespace: "kube-system",
        };
        session.boot(needs).await?;
        for step in STEPS {
            recorder.step(step, self.act(step)).await?;
        }
        Ok(())
    }

    async fn until_stopped(
        &mut self,
        session: &mut Session<'_>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        if self.interrupted_in == Some("watch") {
            self.interrupts.send_modify(|count| *count += 1);
            let watch = async {
                stop.await;
                Ok(())
            };
            session.recorder.step("watch", watch).await?;
        }
        Ok(())
    }

    async fn measured(&mut self, _: &mut Session<'_>, _: &Measured) -> anyhow::Result<()> {
        self.act("measured").await
    }
}

/// A provider whose boot is interrupted when the cluster is in the ledger.
#[derive(Debug)]
struct Interrupted(FakeProvider, Sender<usize>);

impl Provider for Interrupted {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn boot<'a>(
        &'a self,
        request: ClusterRequest,
        context: BootContext<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Cluster>, ProviderError>> {
        async move {
            let _cluster = self.0.boot(request, context).await?;
            self.1.send_modify(|count| *count += 1);
            std::future::pending().await
        }
        .boxed()
    }

    fn collect<'a>(&'a self, ledger: &'a Ledger, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.0.collect(ledger, id)
    }

    fn down<'a>(&'a self, ledger: &'a Ledger, entry: &'a Entry) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.0.down(ledger, entry)
    }
}

/// A place below a folder, and the start of its record.
fn place_in(folder: &std::path::Path, provider: Arc<dyn Provider>) -> (Place, RecordStart) {
    let components = Components::new(None, folder.join("cache"));
    let place = Place::created(ID, provider, components, 2).state(folder.to_owned());
    let start = RecordStart {
        id: ID.to_owned(),
        out: folder.join("runs"),
        audience: Audience::Nobody,
        subject: "fake".to_owned(),
        provider: "fake".to_owned(),
        path: Vec::new(),
        recipe: None,
        calibration: None,
    };
    (place, start)
}

/// What a run leaves.
struct Left {
    run: Run,
    steps: Vec<String>,
    calls: Vec<String>,
    /// The ids in the ledger.
    ledger: Vec<String>,
    has_report: bool,
}

async fn run_script(
    provider: FakeProvider,
    fails_in: Option<&'static str>,
    interrupted_in: Option<&'static str>,
) -> Left {
    let folder = tempfile::tempdir().unwrap();
    let (place, start) = place_in(folder.path(), Arc::new(provider.clone()));
    let interrupts = Sender::new(0);
    let counted = Interrupts::counted_by(&interrupts);
    let mut script = Script { fails_in, interrupted_in, interrupts };
    let ended = run_with(&place, &start, &Criteria::default(), &mut script, &counted).await.unwrap();
    Left {
        steps: ended.run.steps.iter().map(|step| step.name.clone()).collect(),
        run: ended.run,
        calls: provider.calls(),
        ledger: place.ledger().ids().unwrap(),
        has_report: folder.path().join("runs").join(ID).join("report.html").is_file(),
    }
}

#[tokio::test]
async fn phases_are_in_order_and_nothing_is_left() {
    let left = run_script(FakeProvider::default(), None, None).await;
    assert_eq!(left.steps, ["before", "cluster", "install", "traffic", "upgrade", "take down"]);
    assert_eq!(left.calls, ["boot test", "destroy test"]);
    assert!(left.ledger.is_empty() && left.has_report);
}

#[rstest]
#[case::before_the_boot("before")]
#[case::installation("install")]
#[case::traffic("traffic")]
#[case::step("upgrade")]
#[case::end_of_the_measurement("measured")]
#[tokio::test]
async fn error_in_a_phase_is_judged_taken_down_and_reported(#[case] phase: &'static str) {
    let left = run_script(FakeProvider::default(), Some(phase), None).await;
    assert_eq!((left.run.verdict, left.run.reason), (Verdict::Errored, format!("{phase} failed")));
    assert_eq!(left.steps.last().unwrap(), "take down");
    assert!(left.ledger.is_empty() && left.has_report, "{:?}", left.calls);
}

#[tokio::test]
async fn failed_boot_is_collected() {
    let mut provider = FakeProvider::default();
    provider.boot_error = Some("no memory".to_owned());
    let left = run_script(provider, None, None).await;
    assert_eq!((left.run.verdict, left.run.reason.as_str()), (Verdict::Errored, "no memory"));
    assert_eq!(left.calls, ["boot test", "collect test"]);
    assert!(left.ledger.is_empty() && left.has_report);
}

#[rstest]
#[case::before_the_boot("before")]
#[case::installation("install")]
#[case::traffic("traffic")]
#[case::step("upgrade")]
#[tokio::test]
async fn interrupt_in_a_phase_is_judged_taken_down_and_reported(#[case] phase: &'static str) {
    let left = run_script(FakeProvider::default(), None, Some(phase)).await;
    assert_eq!((left.run.verdict, left.run.exit_code), (Verdict::Interrupted, 130));
    assert_eq!(left.steps.last().unwrap(), "take down");
    assert!(left.ledger.is_empty() && left.has_report, "{:?}", left.calls);
}

#[tokio::test]
async fn interrupt_in_the_boot_is_collected_and_reported() {
    let (folder, provider, interrupts) =
        (tempfile::tempdir().unwrap(), FakeProvider::default(), Sender::new(0));
    let counted = Interrupts::counted_by(&interrupts);
    let interrupted = Interrupted(provider.clone(), interrupts.clone());
    let (place, start) = place_in(folder.path(), Arc::new(interrupted));
    let mut script = Script { fails_in: None, interrupted_in: None, interrupts };
    let ended = run_with(&place, &start, &Criteria::default(), &mut script, &counted).await.unwrap();
    assert_eq!(ended.run.verdict, Verdict::Interrupted);
    assert_eq!(provider.calls(), ["boot test", "collect test"]);
    assert!(place.ledger().ids().unwrap().is_empty());
    assert!(folder.path().join("runs").join(ID).join("report.html").is_file());
}

#[tokio::test]
async fn interrupt_ends_a_watch_and_is_no_interruption() {
    let left = run_script(FakeProvider::default(), None, Some("watch")).await;
    assert_ne!(left.run.verdict, Verdict::Interrupted);
    assert_eq!(&left.steps[left.steps.len() - 2..], ["watch", "take down"]);
    assert!(left.ledger.is_empty() && left.has_report);
}

/// The end of the measurement hangs until the deadline of a person is over.
struct Impatient(Script);

impl Procedure for Impatient {
    async fn follow(&mut self, session: &mut Session<'_>) -> anyhow::Result<()> {
        self.0.follow(session).await
    }

    async fn measured(&mut self, _: &mut Session<'_>, _: &Measured) -> anyhow::Result<()> {
        self.0.interrupts.send_modify(|count| *count += 1);
        std::future::pending().await
    }
}

#[tokio::test]
async fn second_interrupt_ends_at_once_and_leaves_the_cluster_to_gc() {
    let (folder, provider) = (tempfile::tempdir().unwrap(), FakeProvider::default());
    let (place, start) = place_in(folder.path(), Arc::new(provider.clone()));
    let interrupts = Sender::new(0);
    let counted = Interrupts::counted_by(&interrupts);
    let mut script = Impatient(Script { fails_in: None, interrupted_in: Some("traffic"), interrupts });
    let ended = run_with(&place, &start, &Criteria::default(), &mut script, &counted).await.unwrap();
    assert_eq!(ended.run.verdict, Verdict::Interrupted);
    assert!(ended.run.reason.contains("seatrial gc"), "{}", ended.run.reason);
    assert_eq!(provider.calls(), ["boot test"]);
    assert_eq!(place.ledger().ids().unwrap(), [ID]);
    assert!(folder.path().join("runs").join(ID).join("report.html").is_file());
}
