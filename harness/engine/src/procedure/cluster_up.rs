//! The procedure of `cluster up`: a bare cluster that is kept.

use futures_util::future::LocalBoxFuture;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cni, Components, Provider};
use report::run::Verdict;
use subject::{Installation, cilium};

use super::Procedure;
use crate::bundle::Bundle;
use crate::judge::Criteria;
use crate::lifecycle;
use crate::place::{Keep, Needs, Place};
use crate::record::{Audience, RecordStart};
use crate::scratch::Scratch;
use crate::session::Session;

/// How long nodes may take to become Ready.
const READY: Duration = Duration::from_secs(60);

/// A request for a bare cluster.
#[derive(Debug)]
pub struct ClusterUp {
    /// The id of the cluster.
    pub id: String,
    /// The provider that creates it.
    pub provider: Arc<dyn Provider>,
    /// The programs that it consists of.
    pub components: Components,
    /// The number of nodes.
    pub nodes: u8,
    /// What gives pods their network. Without one, nodes register but do not become Ready.
    pub cni: Cni,
    /// The folder for the logs of its components.
    pub logs: PathBuf,
}

/// The result of [`cluster_up`].
#[derive(Debug)]
pub enum Up {
    /// The cluster is up and kept.
    Kept {
        /// Its kubeconfig.
        kubeconfig: PathBuf,
    },
    /// The user interrupted it; nothing is left.
    Interrupted,
}

/// Boots a cluster with its DNS, and keeps it.
///
/// # Errors
/// When it does not come up; it is removed then.
pub fn cluster_up(request: ClusterUp) -> LocalBoxFuture<'static, anyhow::Result<Up>> {
    Box::pin(async move {
        let ClusterUp { id, provider, components, nodes, cni, logs } = request;
        let place = Place::created(&id, provider, components, nodes).keep(Keep::OnSuccess).logs(logs);
        let folder = Scratch::new("up-")?;
        let start = RecordStart {
            id,
            out: folder.path().to_owned(),
            audience: Audience::Steps,
            subject: "cluster".to_owned(),
            provider: place.provider().name().to_owned(),
            path: Vec::new(),
            recipe: None,
            calibration: None,
        };
        let mut bare = BareCluster { cni };
        let ended = Box::pin(lifecycle::run(&place, &start, &Criteria::default(), &mut bare)).await?;
        match (ended.failure, ended.kubeconfig) {
            (Some(failure), _) => Err(failure),
            (None, Some(kubeconfig)) => Ok(Up::Kept { kubeconfig }),
            (None, None) if ended.run.verdict == Verdict::Interrupted => Ok(Up::Interrupted),
            (None, None) => Err(anyhow::anyhow!(ended.run.reason)),
        }
    })
}

struct BareCluster {
    cni: Cni,
}

impl Procedure for BareCluster {
    async fn follow(&mut self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let bundle = Bundle::new().await?;
        let dns = bundle.role(cluster::dns::ROLE);
        let needs = Needs {
            images: vec![bundle.role("pause"), dns.clone()],
            archives: Vec::new(),
            dual_stack: false,
            cni: self.cni,
            node_image: None,
            namespace: "default",
        };
        let client = session.boot(needs).await?.client;
        if self.cni != Cni::None {
            let nodes = usize::from(session.place.nodes());
            let ready = async {
                cluster::nodes_ready(&client, nodes, READY).await?;
                Ok(format!("{nodes} nodes Ready"))
            };
            session.recorder.step("nodes ready", ready).await?;
        }
        let subject = Installation::new(client, cilium::names(), READY);
        Ok(subject.apply(&cluster::dns::objects(&dns.reference)).await?)
    }
}
