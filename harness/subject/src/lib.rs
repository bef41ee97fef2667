//! What is upgraded, and the documented steps that upgrade it, on the Kubernetes API.
//!
//! The objects have Cilium's names: DaemonSet `cilium`, container `cilium-agent`, ConfigMap `cilium-config`. Whatever
//! a chart of these names renders can be driven: real Cilium or a stand-in for it.

mod apply;
mod beside;
mod chart;
mod config;
mod driver;
mod exec;
mod identities;
mod layout;
mod manifests;
mod obstacle;
mod pod;
mod policy;
mod preflight;
mod rollback;
mod rollout;
mod scrape;
mod snapshot;

use std::collections::BTreeMap;

pub use apply::ApplyError;
pub use beside::BesideError;
pub use chart::{Chart, ChartError, find, helm};
pub use cluster::existing::RUN_LABEL;
pub use config::parse_config_map;
pub use driver::{Subject, SubjectError};
pub use exec::{ExecError, Said};
pub use identities::{Fate, Migrated};
pub use layout::{Layout, Parts};
pub use obstacle::{Obstacle, ignored_values};
pub use policy::{Grant, HttpRule, policies, policy};
pub use scrape::ScrapeError;
pub use snapshot::Snapshot;

/// Namespace of everything that belongs to the subject.
pub const NAMESPACE: &str = "kube-system";
/// The agents' DaemonSet, and their value of the label `k8s-app`.
pub const DAEMONSET: &str = "cilium";
/// The agent's container.
pub const CONTAINER: &str = "cilium-agent";
/// The operator's Deployment.
pub const OPERATOR: &str = "cilium-operator";
/// The agents' configuration.
pub const CONFIG_MAP: &str = "cilium-config";
/// The pre-flight DaemonSet.
pub const PREFLIGHT: &str = "cilium-pre-flight-check";
/// Group, version and kind of its policies.
pub const POLICY: (&str, &str, &str) = ("cilium.io", "v2", "CiliumNetworkPolicy");

/// The L7 proxy's DaemonSet, in versions that run it beside the agents.
pub const PROXY: &str = "cilium-envoy";

/// The part that a pod of the subject plays: `agent`, `proxy`, `operator`, `preflight`; none for other pods.
#[must_use]
pub fn role(labels: &BTreeMap<String, String>) -> Option<&'static str> {
    let label = |key: &str| labels.get(key).map(String::as_str);
    match (label("k8s-app"), label("name"), label("io.cilium/app")) {
        (Some(DAEMONSET), ..) => Some("agent"),
        (Some(PROXY), ..) => Some("proxy"),
        (_, Some(OPERATOR), _) | (.., Some("operator")) => Some("operator"),
        (Some(app), ..) if app.starts_with(PREFLIGHT) => Some("preflight"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::agent("k8s-app", "cilium", Some("agent"))]
    #[case::proxy("k8s-app", "cilium-envoy", Some("proxy"))]
    #[case::operator("name", "cilium-operator", Some("operator"))]
    #[case::preflight("k8s-app", "cilium-pre-flight-check", Some("preflight"))]
    #[case::validator("k8s-app", "cilium-pre-flight-check-deployment", Some("preflight"))]
    #[case::other("k8s-app", "kube-dns", None)]
    fn labels_have_roles(#[case] key: &str, #[case] value: &str, #[case] expected: Option<&str>) {
        assert_eq!(role(&BTreeMap::from([(key.to_owned(), value.to_owned())])), expected);
    }
}
