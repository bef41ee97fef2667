//! What probe pods may do on their nodes: only what their flows need. Pure.

use k8s_openapi::api::core::v1::{Capabilities, SeccompProfile, SecurityContext, Toleration};

/// The user of a container that needs no capability: `nobody`.
const NOBODY: i64 = 65_534;
/// The taints of a node without network. Pods must outlast them: what they lose then is the measurement.
const WITHOUT_NETWORK: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// Returns the security context of a container that needs one capability, or none.
pub(super) fn of_container(capability: Option<&str>) -> SecurityContext {
    // Only root gets the capabilities of a container.
    let is_nobody = capability.is_none();
    let capabilities = Capabilities {
        add: capability.map(|capability| vec![capability.to_owned()]),
        drop: Some(vec!["ALL".to_owned()]),
    };
    let seccomp = SeccompProfile { type_: "RuntimeDefault".to_owned(), ..Default::default() };
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(capabilities),
        read_only_root_filesystem: Some(true),
        run_as_non_root: is_nobody.then_some(true),
        run_as_user: is_nobody.then_some(NOBODY),
        seccomp_profile: Some(seccomp),
        ..Default::default()
    }
}

/// Returns the taints that do not end a probe pod. A pod names its node, so that NoSchedule does not concern it.
pub(super) fn tolerations() -> Vec<Toleration> {
    let tolerated = |key: &str| Toleration {
        effect: Some("NoExecute".to_owned()),
        key: Some(key.to_owned()),
        operator: Some("Exists".to_owned()),
        ..Default::default()
    };
    WITHOUT_NETWORK.map(tolerated).into()
}

/// Returns whether probe pods stay on a node with this taint.
#[must_use]
pub fn is_tolerated(taint: &str) -> bool {
    WITHOUT_NETWORK.contains(&taint)
}
