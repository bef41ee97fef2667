//! The boot of a place, and its end.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use cluster::{BootContext, Cluster, ClusterRequest, Cni, CpuWeight, Image};

use super::Place;
use crate::deadline::within;
use crate::record::{Produced, Recorder};

/// How long nodes may take to register.
const REGISTERED: Duration = Duration::from_secs(60);
/// How long a cluster may take to be removed.
const REMOVED: Duration = Duration::from_secs(180);

/// What a run needs of a created cluster; an existing one has it already.
#[derive(Debug)]
pub(crate) struct Needs {
    pub(crate) images: Vec<Image>,
    /// Archives of further images.
    pub(crate) archives: Vec<PathBuf>,
    /// Whether nodes and pods need addresses of both families.
    pub(crate) dual_stack: bool,
    /// Gives pods their network, until a subject does.
    pub(crate) cni: Cni,
    /// The node image with a Kubernetes that suits the subject, where that matters.
    pub(crate) node_image: Option<String>,
    /// The namespace that must be usable.
    pub(crate) namespace: &'static str,
}

/// A cluster that is up.
pub(crate) struct Booted {
    /// A client for the API server.
    pub(crate) client: kube::Client,
    /// The version of Kubernetes.
    pub(crate) kubernetes: String,
    /// Address and port of the API server, without any Service translation.
    pub(crate) api: (String, u16),
    summary: String,
}

impl Produced for Booted {
    fn detail(&self) -> Option<String> {
        Some(self.summary.clone())
    }
}

impl Place {
    /// Brings the cluster up, or enters the existing one into the ledger. What was created is in `cluster` as soon as it
    /// exists. The time to build components is not part of the boot time.
    pub(crate) async fn boot(
        &self,
        needs: Needs,
        cpu_weight: CpuWeight,
        recorder: &Recorder,
        cluster: &mut Option<Box<dyn Cluster>>,
    ) -> anyhow::Result<Booted> {
        let Needs { images, archives, dual_stack, cni, node_image, namespace } = needs;
        let progress = |message| recorder.progress("cluster", message);
        let built = self.provider.prepare(&self.components, &progress).await?;
        if !built.is_zero() {
            let seconds = built.as_secs_f64();
            progress(format!("components were built in {seconds:.0} s, not counted as boot time"));
            recorder.with(|run| run.provider.build_ms = Some(seconds * 1e3));
        }
        let started_ns = probe::clock::now_ns();
        let request = ClusterRequest {
            cni,
            dual_stack,
            keep: self.is_kept(true),
            images,
            archives,
            cpu_weight,
            node_image,
            ..ClusterRequest::new(&self.id, self.nodes, self.log_folder(&recorder.folder().logs()))
        };
        let ledger = self.ledger();
        let context = BootContext { components: &self.components, ledger: &ledger, progress: &progress };
        let cluster = cluster.insert(self.provider.boot(request, context).await?);
        let client = cluster.client().await?;
        let nodes = cluster.nodes();
        tokio::try_join!(
            cluster::nodes_registered(&client, nodes.len(), REGISTERED),
            cluster::namespace_ready(&client, namespace, REGISTERED)
        )?;
        let version = client.apiserver_version();
        let version = async { version.await.context("the API server does not report its version") };
        let kubernetes = within("the version of the API server", REGISTERED, version).await?.git_version;
        let boot_ms = (probe::clock::now_ns() - started_ns) / 1_000_000;
        let summary = self.summary(nodes.len(), boot_ms);
        recorder.with(|run| {
            run.provider.boot_ms = Some(boot_ms as f64);
            run.provider.kubernetes = kubernetes.clone();
            run.provider.nodes = nodes;
        });
        Ok(Booted { client, kubernetes, api: cluster.api_inside(), summary })
    }

    /// Removes the cluster, or what the run created in an existing one; releases a cluster that is kept. Returns what is
    /// left, and the kubeconfig of a kept cluster.
    pub(crate) async fn take_down(
        &self,
        cluster: Option<Box<dyn Cluster>>,
        succeeded: bool,
    ) -> anyhow::Result<(String, Option<PathBuf>)> {
        let nothing = || ("nothing left".to_owned(), None);
        match cluster {
            None => {
                // Interrupted or failed during the boot: what was started ends by itself.
                let ledger = self.ledger();
                let collected = async { Ok(self.provider.collect(&ledger, &self.id).await?) };
                within("the rest of the cluster to be removed", REMOVED, collected).await?;
                Ok(nothing())
            }
            Some(cluster) if self.is_kept(succeeded) => {
                let kubeconfig = cluster.kubeconfig();
                within("the cluster to be released", REMOVED, async { Ok(cluster.release().await?) }).await?;
                let left = format!("kept: export KUBECONFIG={}", kubeconfig.display());
                Ok((left, Some(kubeconfig)))
            }
            Some(cluster) => {
                within("the cluster to be removed", REMOVED, async { Ok(cluster.destroy().await?) }).await?;
                Ok(nothing())
            }
        }
    }
}
