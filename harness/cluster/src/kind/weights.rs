//! CPU weights of a kind cluster: pods before the programs of their node, and nodes before a single thread of the host.
//!
//! Without them, the start of one container delays every probe of its node by tens of milliseconds.

use futures_util::future::try_join_all;

use super::docker;
use crate::spawn::CommandError;

/// Docker's weight of a container; a thread outside of all containers has 1,024.
const CONTAINER: &str = "8192";
/// Weights for systemd, whose default is 100. The slice of the pods holds the kubelet as well; the container runtime, which
/// starts a process tree for every container and command, is beside it.
const UNITS: [(&str, &str); 3] =
    [("kubelet.slice", "10000"), ("kubelet.service", "10"), ("containerd.service", "10")];

/// Sets the weights of all containers of a cluster, and of the units in its nodes.
pub(super) async fn set(cluster: &str, nodes: &[String]) -> Result<(), CommandError> {
    docker::update(&docker::containers(cluster, None).await?, &["--cpu-shares", CONTAINER]).await?;
    try_join_all(nodes.iter().map(|node| weigh_units(node))).await.map(drop)
}

async fn weigh_units(node: &str) -> Result<(), CommandError> {
    for (unit, weight) in UNITS {
        let weight = format!("CPUWeight={weight}");
        docker::exec(node, &["systemctl", "set-property", "--runtime", unit, &weight]).await?;
    }
    Ok(())
}
