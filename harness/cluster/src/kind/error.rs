//! What can be wrong with a kind cluster, each with its remedy.

use std::path::PathBuf;

use super::version::OLDEST;
use crate::client::ClientError;
use crate::components::ComponentError;
use crate::images::ImageError;
use crate::ledger::LedgerError;
use crate::spawn::CommandError;
use crate::wait;

/// What a control plane and the pods of a run take, bytes.
pub(super) const MEMORY: u64 = 2 << 30;

/// A kind cluster could not be brought up, used or taken down.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// There is no `docker`.
    #[error("docker is not installed, and kind needs it; install it with: apt-get install docker.io")]
    NoDocker,
    /// The daemon does not answer.
    #[error("Docker does not answer; start it with `systemctl start docker`, or `ci/docker/start PIDFILE`")]
    DockerSilent(#[source] CommandError),
    /// The machine is too small.
    #[error("{available_mib} MiB of memory are available, and a kind cluster needs {} MiB; end what uses it", MEMORY >> 20)]
    Memory {
        /// What is available, MiB.
        available_mib: u64,
    },
    /// The node image is not here and cannot be had.
    #[error(
        "the node image {image} is not on this machine and cannot be pulled; make one with ci/kind-node-image, or \
         name another with --kind-image"
    )]
    NoImage {
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: CommandError,
    },
    /// The network that nodes shall join is not there.
    #[error(
        "Docker has no network {network}; make it with `docker network create {network}`, or leave --docker-network out"
    )]
    NoNetwork {
        /// The network.
        network: String,
        /// Docker's words.
        #[source]
        source: CommandError,
    },
    /// Nodes do not look for mirrors.
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
        "{} says that it is {said:?}, and {OLDEST} or newer is needed; put a newer one in its place, or take it away: \
         where Go is installed, seatrial builds its own",
        path.display()
    )]
    Old {
        /// Where it is.
        path: PathBuf,
        /// What it says about itself.
        said: String,
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
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// kind is missing.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// An image could not be written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file could not be had.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// kind failed.
    #[error("kind could not make the cluster; logs of its nodes are in {}", logs.display())]
    Create {
        /// Where logs are.
        logs: PathBuf,
        /// kind's words.
        #[source]
        source: CommandError,
    },
    /// A command about a container failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The host outside has no address.
    #[error("Docker says that the address of the host outside is {address:?}")]
    Outside {
        /// What it says.
        address: String,
    },
    /// The API cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The nodes did not say where their pods live.
    #[error("the nodes of the new cluster cannot be read")]
    Nodes(#[source] Box<kube::Error>),
    /// The API server refused something.
    #[error("CoreDNS could not be removed from the new cluster")]
    CoreDns(#[source] Box<kube::Error>),
    /// Something of it is still there.
    #[error(transparent)]
    Timeout(#[from] wait::Timeout),
    /// There is no such node.
    #[error("the cluster has no node {node}; it has {known}")]
    NoNode {
        /// What was asked for.
        node: String,
        /// What there is.
        known: String,
    },
}

pub(super) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> KindError {
    move |source| KindError::Io { what, source }
}
