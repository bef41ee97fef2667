//! What the stand-in does beside its own charts, to take Cilium's place in Cilium's charts.

use std::path::Path;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::health;
use crate::kubernetes::ClientError;
use crate::version::Version;

/// The variable that says which version is played.
pub const VERSION: &str = "STANDIN_VERSION";
/// The variable that holds the port at which the pod is asked over HTTP whether it is ready.
pub const HEALTH_PORT: &str = "STANDIN_HEALTH_PORT";
/// The newest version that the stand-in plays.
const NEWEST: Version = Version { major: 1, minor: 6, patch: 12 };
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

/// The version that is played in the place of `tag`: that version, or the newest that there is.
#[must_use]
pub fn played(tag: &str) -> String {
    tag.parse::<Version>().map_or(NEWEST, |version| version.min(NEWEST)).to_string()
}

/// Answers health checks where the chart asks over HTTP; it never returns.
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

/// Stands there for a part that the stand-in does not have, such as a proxy in a pod of its own.
pub(crate) async fn idle() -> std::io::Result<()> {
    answer_health_checks(|| true).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::itself("v1.5.13", "v1.5.13")]
    #[case::newer("v1.16.19", "v1.6.12")]
    #[case::no_version("latest", "v1.6.12")]
    fn newer_versions_are_played_by_the_newest(#[case] tag: &str, #[case] expected: &str) {
        assert_eq!(played(tag), expected);
    }
}
