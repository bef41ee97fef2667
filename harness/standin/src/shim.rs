//! What the stand-in needs to replace Cilium in Cilium's own charts.

use std::path::Path;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::health;
use crate::kubernetes::ClientError;

/// The environment variable that holds the port of the kubelet's health checks over HTTP.
pub(crate) const HEALTH_PORT: &str = "STANDIN_HEALTH_PORT";
/// Where agents look for their configuration.
const CONFIG_DIR: &str = "/tmp/cilium/config-map";

/// The configuration could not be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// No access to the API server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The ConfigMap.
    #[error("the ConfigMap cilium-config cannot be read")]
    ConfigMap(#[from] Box<kube::Error>),
    /// The files.
    #[error("the configuration cannot be written to {CONFIG_DIR}")]
    Write(#[from] std::io::Error),
}

/// Answers health checks over HTTP, if the chart has any; it never returns.
pub(crate) async fn answer_health_checks(healthy: impl Fn() -> bool) {
    match health_port() {
        Some(port) => health::serve(port, healthy).await,
        None => std::future::pending().await,
    }
}

/// Whether this process takes Cilium's place in a chart that writes no CNI configuration itself.
pub(crate) fn writes_cni_conf() -> bool {
    health_port().is_some()
}

fn health_port() -> Option<u16> {
    std::env::var(HEALTH_PORT).ok()?.parse().ok()
}

/// Writes one file for each key of the ConfigMap, as `cilium build-config` does.
pub(crate) async fn build_config() -> Result<(), BuildError> {
    let client = crate::kubernetes::client()?;
    let namespace = std::env::var("CILIUM_K8S_NAMESPACE").unwrap_or_else(|_| "kube-system".to_owned());
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let found = api.get("cilium-config").await.map_err(Box::new)?;
    let folder = Path::new(CONFIG_DIR);
    std::fs::create_dir_all(folder)?;
    for (key, value) in found.data.unwrap_or_default() {
        std::fs::write(folder.join(key), value)?;
    }
    Ok(())
}

/// Runs in place of a component that the stand-in does not implement, such as a proxy in its own pod.
pub(crate) async fn idle() -> std::io::Result<()> {
    answer_health_checks(|| true).await;
    Ok(())
}
