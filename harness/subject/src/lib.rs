//! What is upgraded, and the documented steps that upgrade it, on the Kubernetes API.
//!
//! The objects have Cilium's names: DaemonSet `cilium`, container `cilium-agent`, ConfigMap `cilium-config`. Whatever
//! a chart of these names renders can be driven: real Cilium or a stand-in for it.

mod apply;
mod chart;
mod config;
mod driver;
mod policy;
mod rollback;
mod rollout;
mod snapshot;

pub use apply::ApplyError;
pub use chart::{Chart, ChartError};
pub use config::parse_config_map;
pub use driver::{Subject, SubjectError};
pub use policy::{Grant, HttpRule, policies};
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
