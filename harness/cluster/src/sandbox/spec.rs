//! What the host side tells the sandbox to be, and what the sandbox answers: one JSON object a line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::pki::Identity;

/// Cluster address of the control plane, on the sandbox's own bridge.
pub(crate) const CONTROL_PLANE: &str = "10.250.0.1";
/// Port of the API server inside the sandbox.
pub(crate) const API_PORT: u16 = 6443;
/// Pod addresses of all nodes.
pub(crate) const POD_CIDR: &str = "10.244.0.0/16";
/// Service addresses.
pub(crate) const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The same of the second family, where a cluster has two.
pub(crate) const CONTROL_PLANE_IPV6: &str = "fd00:10:250::1";
pub(crate) const POD_CIDR_IPV6: &str = "fd00:10:244::/56";
pub(crate) const SERVICE_CIDR_IPV6: &str = "fd00:10:96::/112";
/// Address of the cluster DNS service.
pub(crate) const DNS_ADDRESS: &str = "10.96.0.10";

/// The whole sandbox.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) id: String,
    pub(crate) cgroup: String,
    /// The cluster's folder on the host; a tmpfs is mounted below it, inside the sandbox only.
    pub(crate) folder: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) programs: BTreeMap<String, PathBuf>,
    pub(crate) images: Vec<PathBuf>,
    pub(crate) pause_image: String,
    pub(crate) cni: Cni,
    /// Whether there are IPv6 addresses beside those of IPv4.
    pub(crate) dual_stack: bool,
    pub(crate) pki: Pki,
    pub(crate) nodes: Vec<NodeSpec>,
}

/// Who gives pods their network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cni {
    /// The subject, which is installed later; until then no node is Ready.
    None,
    /// A plain bridge on every node, so that a bare cluster is of use.
    Bridge,
}

/// Everything that proves who is who in the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pki {
    pub(crate) ca: String,
    pub(crate) api_server: Identity,
    pub(crate) kubelet_client: Identity,
    pub(crate) controllers: Identity,
    /// Signs service-account tokens; its public key stands where a certificate would.
    pub(crate) tokens: Identity,
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NodeSpec {
    pub(crate) name: String,
    pub(crate) address: String,
    /// Its second address, where the cluster has two families.
    pub(crate) ipv6: Option<String>,
    pub(crate) client: Identity,
    pub(crate) server: Identity,
}

/// What a node process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NodeStart {
    pub(crate) node: NodeSpec,
    /// Position among the nodes, from 1.
    pub(crate) index: u8,
    pub(crate) ca: String,
    pub(crate) socket: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) programs: BTreeMap<String, PathBuf>,
    pub(crate) images: Vec<PathBuf>,
    pub(crate) pause_image: String,
    pub(crate) cni: Cni,
}

/// What the sandbox reports to the host, and a node to the sandbox.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub(crate) enum Report {
    /// Namespaces were entered; the peer may go on with what needs them.
    Entered,
    /// Something is up.
    Progress { message: String },
    /// Everything was started; the API answers.
    Up,
    /// It cannot go on.
    Failed { message: String },
}

/// What the host side asks of a node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NodeRequest {
    /// To run a command in its namespaces.
    Exec { argv: Vec<String>, stdin: Option<String> },
    /// To put the rules of an nftables table, of the family inet, out of force or in force again.
    SetDormant { table: String, dormant: bool },
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NodeReply {
    /// CLOCK_MONOTONIC nanoseconds right before it was begun.
    pub(crate) started_ns: i64,
    /// And right after it ended.
    pub(crate) ended_ns: i64,
    pub(crate) result: Result<String, String>,
}
