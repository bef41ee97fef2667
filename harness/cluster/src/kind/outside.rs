//! The host outside of a kind cluster: a container on the network of the cluster that is not a node.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::docker;
use super::error::{KindError, io};
use crate::ledger::Held;
use crate::outside::{Outside, ROLE};
use crate::wait;

/// The folder of the socket: in the container, and below the folder of the cluster.
const MOUNT: &str = "/run/seatrial";
const FOLDER: &str = "outside";

/// Starts the host from a layer that holds this program; returns when it accepts requests.
pub(super) async fn start(
    cluster: &str,
    network: &str,
    layer: &Path,
    held: &Held,
) -> Result<Outside, KindError> {
    let folder = held.folder().join(FOLDER);
    std::fs::create_dir(&folder).map_err(io("the folder of the host outside could not be created"))?;
    let lock = || held.share_lock().map_err(io(super::LOCK));
    docker::make_image(cluster, layer, &format!("/usr/bin/{ROLE}"), lock()?).await?;
    let container = docker::run(cluster, FOLDER, network, (&folder, MOUNT), &[MOUNT], lock()?).await?;
    let address = docker::address(&container).await?;
    let address: IpAddr = address.parse().map_err(|_unreadable| KindError::Outside { address })?;
    let outside = Outside::new(&folder, address);
    let probe = async || outside.accepts().await.map_err(|e| e.to_string());
    let condition = format!("the container {container} to accept requests");
    wait::until(&condition, Duration::from_secs(30), Duration::from_millis(50), probe).await?;
    Ok(outside)
}
