//! Configures the containerd of kind nodes to use registry mirrors.

use super::{KindError, docker};
use crate::mirror::Mirror;

/// The folder in which containerd looks for mirrors.
const FOLDER: &str = "/etc/containerd/certs.d";
/// The configuration that names the folder, in node images of kind v0.27 and newer.
const CONFIG: &str = "/etc/containerd/config.toml";

/// Writes the mirrors to every node; containerd reads them at each pull.
pub(super) async fn write(nodes: &[String], mirrors: &[Mirror]) -> Result<(), KindError> {
    let script = r#"mkdir -p "$1" && printf '[host."%s"]\n  capabilities = ["pull", "resolve"]\n' "$2" >"$1/hosts.toml""#;
    for node in nodes {
        if !mirrors.is_empty() && docker::exec(node, &["grep", "-q", FOLDER, CONFIG]).await.is_err() {
            return Err(KindError::NoMirrors { node: node.clone() });
        }
        for Mirror { host, address } in mirrors {
            let folder = format!("{FOLDER}/{host}");
            docker::exec(node, &["sh", "-c", script, "sh", &folder, address]).await?;
        }
    }
    Ok(())
}
