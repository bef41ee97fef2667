//! The names of Cilium's objects.

use crate::names::Names;

/// Namespace of Cilium.
pub const NAMESPACE: &str = "kube-system";
/// The agents' DaemonSet, and their value of the label `k8s-app`.
pub const DAEMON_SET: &str = "cilium";
/// The agent's container.
pub const CONTAINER: &str = "cilium-agent";
/// The agents' configuration.
pub const CONFIG_MAP: &str = "cilium-config";
/// The pre-flight DaemonSet.
pub const PREFLIGHT: &str = "cilium-pre-flight-check";
/// Group, version and kind of its policies.
pub const POLICY: (&str, &str, &str) = ("cilium.io", "v2", "CiliumNetworkPolicy");
/// Prefix of the names of the pre-flight check's objects.
pub(super) const PREFLIGHT_PREFIX: &str = "cilium-pre-flight";

/// The names of Cilium's objects.
#[must_use]
pub fn names() -> Names {
    Names {
        name: "cilium".to_owned(),
        namespace: NAMESPACE.to_owned(),
        daemon_set: DAEMON_SET.to_owned(),
        app: Some(DAEMON_SET.to_owned()),
        container: CONTAINER.to_owned(),
        config_map: Some(CONFIG_MAP.to_owned()),
        proxy: Some("cilium-envoy".to_owned()),
        operator: Some("cilium-operator".to_owned()),
        preflight: Some(PREFLIGHT.to_owned()),
        policy: Some(POLICY),
        sockets: Some("/var/run/cilium".to_owned()),
    }
}
