//! The procedure of `watch`: measure an existing cluster while the user changes it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::{Cni, Components};
use model::{Direction, Impact};
use probe::budget::Budgets;
use probe::traffic::Settings;
use report::run::{Run, Transition};
use subject::{Installation, cilium};

use super::Procedure;
use crate::calibration;
use crate::deadline::within;
use crate::judge::{self, Criteria, Measured, Window};
use crate::lifecycle;
use crate::paths;
use crate::place::existing::{self, CHANGE};
use crate::place::{ExistingCluster, Needs, Place};
use crate::record::{Audience, RecordStart};
use crate::session::{Session, TrafficRequest};
use crate::steps::measured_for;

/// The impact that an upgrade may have.
const L3: Impact = Impact::MinimalToNone;
const L7: Impact = Impact::ClientsMustReconnect;
/// The name of the step and of its transition.
const WATCH: &str = "watch";
/// How long a cluster is measured where the request has no length, unless it is interrupted.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a watch may take around its measurement: to start its traffic, to take its baseline and to remove it all.
const AROUND: Duration = Duration::from_secs(600);
/// How long the image of the agents may take to be read.
const AGENTS: Duration = Duration::from_secs(10);

/// A request to measure an existing cluster while it is changed.
#[derive(Debug)]
pub struct WatchRequest {
    /// The id of the run.
    pub id: String,
    /// The cluster.
    pub cluster: ExistingCluster,
    /// How long it is measured; until the first interrupt where not given, and for 24 hours at most.
    pub length: Option<Duration>,
    /// Whether pods are also reached at their IPv6 addresses.
    pub ipv6: bool,
    /// What flows may lose, in place of the standard budgets.
    pub budgets: Option<Budgets>,
    /// The folder for the run folder.
    pub out: PathBuf,
    /// Whether the summary lists flows that lost nothing.
    pub verbose: bool,
    /// The command that watches again.
    pub again: String,
}

/// Measures an existing cluster until the end of the request, and returns the record.
///
/// # Errors
/// When the run folder cannot be created or written; every other failure is in the record.
pub async fn watch(request: WatchRequest) -> anyhow::Result<Run> {
    let WatchRequest { id, cluster, length, ipv6, budgets, out, verbose, again } = request;
    let agents = cluster.agents.clone();
    let place = Place::existing(&id, cluster, Components::new(None, paths::cache()));
    let start = RecordStart {
        id,
        out,
        audience: Audience::Run { verbose },
        subject: if agents.is_some() { cilium::names().name } else { "cluster".to_owned() },
        provider: place.provider().name().to_owned(),
        path: Vec::new(),
        recipe: None,
        calibration: calibration::last(),
    };
    let criteria = Criteria { budgets, reproduce: again };
    let mut watch = Watch { length, settings: Settings { ipv6, ..Settings::default() }, agents };
    Ok(Box::pin(lifecycle::run(&place, &start, &criteria, &mut watch)).await?.run)
}

struct Watch {
    length: Option<Duration>,
    settings: Settings,
    /// The image of the agents before.
    agents: Option<String>,
}

impl Procedure for Watch {
    async fn follow(&mut self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let needs = Needs {
            images: Vec::new(),
            archives: Vec::new(),
            dual_stack: false,
            cni: Cni::None,
            node_image: None,
            namespace: cluster::dns::NAMESPACE,
        };
        let client = session.boot(needs).await?.client;
        let place = session.place;
        let existing = place.existing_cluster().context("only an existing cluster can be watched")?;
        let target = place.probes("", self.planned());
        session.watch(&client, &cilium::names(), &target.namespace);
        let traffic =
            TrafficRequest::optional(place.traffic(&existing.found.nodes, false, &self.settings), target);
        if let Some(why) = place.missing_traffic() {
            session.recorder.progress("traffic", why.to_owned());
        }
        let subject = Installation::new(client.clone(), cilium::names(), CHANGE);
        Box::pin(session.start_traffic(traffic, &subject, &client)).await?;
        session.baseline().await
    }

    async fn until_stopped(
        &mut self,
        session: &mut Session<'_>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let transition = judge::Transition { name: WATCH.to_owned(), l3: L3, l7: L7 };
        session.evidence.windows.push(Window::opened(transition));
        let until = match self.length {
            Some(length) => format!("{} s", length.as_secs()),
            None => format!("until Ctrl-C, {} hours at most", LONGEST.as_secs() / 3_600),
        };
        let recorder = Arc::clone(&session.recorder);
        let watch = async {
            recorder.progress(WATCH, format!("change the cluster now; measuring {until}"));
            tokio::select! {
                ended = measured_for(self.length.unwrap_or(LONGEST)) => ended,
                () = stop => Ok(()),
            }
        };
        recorder.step(WATCH, watch).await
    }

    /// Records which versions ran before and after.
    async fn measured(&mut self, session: &mut Session<'_>, _: &Measured) -> anyhow::Result<()> {
        let Some(existing) = session.place.existing_cluster() else { return Ok(()) };
        let read = async { Ok(existing::agents(&existing.client).await) };
        let now = within("the image of the agents", AGENTS, read).await?;
        let version = |image: &Option<String>| existing::version(image.as_deref()?).map(str::to_owned);
        if let Some((from, to)) = version(&self.agents).zip(version(&now)) {
            let direction = Direction::Watch;
            let transition = Transition { from, to, direction, l3_impact: L3, l7_impact: L7 };
            session.recorder.with(|run| run.path = vec![transition]);
        }
        Ok(())
    }
}

impl Watch {
    /// The time after which its probers end by themselves.
    fn planned(&self) -> Duration {
        self.length.unwrap_or(LONGEST).saturating_add(AROUND)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::until_the_interrupt(None, 86_400)]
    #[case::short(Some(60), 60)]
    #[case::a_year(Some(31_536_000), 31_536_000)]
    fn probers_outlast_the_measurement(#[case] seconds: Option<u64>, #[case] measured: u64) {
        let watch =
            Watch { length: seconds.map(Duration::from_secs), settings: Settings::default(), agents: None };
        assert_eq!(watch.planned(), Duration::from_secs(measured + 600));
    }
}
