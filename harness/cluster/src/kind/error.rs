//! The errors of kind clusters, each with its remedy.

use std::path::PathBuf;

use super::shape::UnknownShape;
use crate::client::ClientError;
use crate::components::ComponentError;
use crate::error::ProviderError;
use crate::images::ImageError;
use crate::ledger::LedgerError;
use crate::release::OLDEST_KIND;
use crate::spawn::CommandError;
use crate::wait;

/// Memory that a control plane and the pods of a run need, bytes.
pub(super) const MEMORY: u64 = 2 << 30;

/// A kind cluster could not be booted, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// `docker` is not installed.
    #[error("docker is not installed, and kind needs it; install it with: apt-get install docker.io")]
    NoDocker,
    /// The daemon does not respond.
    #[error("Docker does not respond; start it with `systemctl start docker`, or `ci/docker/start PIDFILE`")]
    DockerUnreachable(#[source] CommandError),
    /// The machine is too small.
    #[error("{available_mib} MiB of memory are available, and a kind cluster needs {} MiB; stop other programs", MEMORY >> 20)]
    Memory {
        /// Available memory, MiB.
        available_mib: u64,
    },
    /// The node image is not on this machine and cannot be pulled.
    #[error(
        "the node image {image} is not on this machine and cannot be pulled; make one with ci/kind-node-image, or \
         name another with --kind-image"
    )]
    NoImage {
        /// The image.
        image: String,
        /// The cause.
        #[source]
        source: CommandError,
    },
    /// The network that the nodes must join does not exist.
    #[error(
        "Docker has no network {network}; make it with `docker network create {network}`, or leave --docker-network out"
    )]
    NoNetwork {
        /// The network.
        network: String,
        /// The error of Docker.
        #[source]
        source: CommandError,
    },
    /// The nodes do not support mirrors.
    #[error(
        "the containerd of node {node} has no folder for --registry-mirror; name a node image of kind v0.27 or newer \
         with --kind-image, or make one with ci/kind-node-image"
    )]
    NoMirrors {
        /// The node.
        node: String,
    },
    /// kind cannot be used.
    #[error(
        "{} has version {version:?}, and {OLDEST_KIND} or newer is needed; upgrade it, or remove it: where Go is \
         installed, seatrial builds its own",
        path.display()
    )]
    Old {
        /// The program.
        path: PathBuf,
        /// Its version output.
        version: String,
    },
    /// The kubelet of the nodes is older than the cgroups of this machine.
    #[error(
        "the Kubernetes of {image} is older than 1.19 and does not run with cgroup v2, which this machine has; name a \
         newer image with --kind-image, or boot the machine with systemd.unified_cgroup_hierarchy=0"
    )]
    CgroupV2 {
        /// The node image.
        image: String,
    },
    /// There is no such configuration.
    #[error(transparent)]
    Shape(#[from] UnknownShape),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// kind is missing.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// An image could not be written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file could not be used.
    #[error("{what}")]
    Io {
        /// What failed.
        what: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// kind failed.
    #[error("kind could not make the cluster; logs of its nodes are in {}", logs.display())]
    Create {
        /// The folder of the logs.
        logs: PathBuf,
        /// The error of kind.
        #[source]
        source: CommandError,
    },
    /// A command about a container failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The host outside has no address.
    #[error(
        "Docker reports {address:?} as the address of the host outside of the cluster, which is no IP address"
    )]
    Outside {
        /// What Docker reports.
        address: String,
    },
    /// The API cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The nodes could not be listed.
    #[error("the nodes of the new cluster could not be listed")]
    Nodes(#[source] Box<kube::Error>),
    /// CoreDNS could not be removed.
    #[error("CoreDNS could not be removed from the new cluster")]
    CoreDns(#[source] Box<kube::Error>),
    /// Something was not removed in time.
    #[error(transparent)]
    Timeout(#[from] wait::Timeout),
    /// There is no such node.
    #[error("the cluster has no node {node}; it has {known}")]
    NoNode {
        /// The requested node.
        node: String,
        /// The nodes of the cluster.
        known: String,
    },
    /// The cluster is kept.
    #[error("cluster {id} is kept; take it down with `seatrial cluster down {id}`")]
    Kept {
        /// The cluster.
        id: String,
    },
}

impl From<KindError> for ProviderError {
    fn from(error: KindError) -> Self {
        Self::new(error)
    }
}

pub(super) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> KindError {
    move |source| KindError::Io { what, source }
}
