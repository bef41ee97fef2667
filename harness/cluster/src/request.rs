//! What a cluster must be, whichever provider makes it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cpu::{CpuPriority, CpuWeight};
use crate::images::Image;

/// Who provides the pod network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cni {
    /// The subject, which is installed later; until then no node is Ready.
    None,
    /// A plain bridge on every node, so that a bare cluster is usable.
    Bridge,
}

/// A cluster to boot.
#[derive(Clone, Debug)]
pub struct ClusterRequest {
    /// Cluster id, also part of the names of everything that belongs to the cluster.
    pub id: String,
    /// Number of nodes; for an existing cluster, the maximum number of nodes that get probes.
    pub nodes: u8,
    /// Who provides the pod network.
    pub cni: Cni,
    /// Whether nodes, pods and Services have IPv6 addresses in addition to IPv4.
    pub dual_stack: bool,
    /// Whether the cluster outlives this process once it is up.
    pub keep: bool,
    /// A folder for the logs of all components, created when there is something to write.
    pub logs: PathBuf,
    /// Images to load into every node; the first is the pause image.
    pub images: Vec<Image>,
    /// Archives of further images (OCI or Docker format) to load into every node.
    pub archives: Vec<PathBuf>,
    /// The share of the processors that the cluster gets, where the provider supports it.
    pub cpu_weight: CpuWeight,
    /// The node image that suits the subject best, for a provider that can choose the version of Kubernetes.
    pub node_image: Option<String>,
}

impl ClusterRequest {
    /// A cluster without a pod network, which ends with this process.
    #[must_use]
    pub fn new(id: &str, nodes: u8, logs: PathBuf) -> Self {
        Self {
            id: id.to_owned(),
            nodes,
            cni: Cni::None,
            dual_stack: false,
            keep: false,
            logs,
            images: Vec::new(),
            archives: Vec::new(),
            cpu_weight: CpuWeight::new(CpuPriority::High),
            node_image: None,
        }
    }
}
