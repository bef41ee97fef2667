//! The specification that the host side sends into the sandbox, and the reports that come back: one JSON object per line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::pki::Identity;
use crate::request::Cni;

/// Address of the control plane, on the bridge of the sandbox.
pub(crate) const CONTROL_PLANE: &str = "10.250.0.1";
/// Port of the API server inside the sandbox.
pub(crate) const API_PORT: u16 = 6443;
/// Pod addresses of all nodes.
pub(crate) const POD_CIDR: &str = "10.244.0.0/16";
/// Service addresses.
pub(crate) const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The IPv6 counterparts, in a dual-stack cluster.
pub(crate) const CONTROL_PLANE_IPV6: &str = "fd00:10:250::1";
pub(crate) const POD_CIDR_IPV6: &str = "fd00:10:244::/56";
pub(crate) const SERVICE_CIDR_IPV6: &str = "fd00:10:96::/112";

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
    /// Whether there are IPv6 addresses in addition to IPv4.
    pub(crate) dual_stack: bool,
    pub(crate) pki: Pki,
    pub(crate) nodes: Vec<NodeSpec>,
}

/// All certificates and keys of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pki {
    pub(crate) ca: String,
    pub(crate) api_server: Identity,
    pub(crate) kubelet_client: Identity,
    pub(crate) controllers: Identity,
    /// Signs service-account tokens; its public key is in the place of a certificate.
    pub(crate) tokens: Identity,
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NodeSpec {
    pub(crate) name: String,
    pub(crate) address: String,
    /// Its IPv6 address, in a dual-stack cluster.
    pub(crate) ipv6: Option<String>,
    pub(crate) client: Identity,
    pub(crate) server: Identity,
}

/// The specification of a node, for its process.
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

/// A report from the sandbox to the host, or from a node to the sandbox.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub(crate) enum Report {
    /// Namespaces were entered; the parent can use them.
    Entered,
    /// Something is up.
    Progress { message: String },
    /// Everything is started; the API server responds.
    Up,
    /// It failed.
    Failed { message: String },
}

/// A request of the host side to a node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NodeRequest {
    /// Run a command in its namespaces.
    Exec { argv: Vec<String>, stdin: Option<String> },
    /// Disable or enable the rules of an nftables table of the family inet.
    SetDormant { table: String, dormant: bool },
}

/// The result of a request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NodeReply {
    /// CLOCK_MONOTONIC right before it started, nanoseconds.
    pub(crate) started_ns: i64,
    /// CLOCK_MONOTONIC right after it ended, nanoseconds.
    pub(crate) ended_ns: i64,
    pub(crate) result: Result<String, String>,
}
