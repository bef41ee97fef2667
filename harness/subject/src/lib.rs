//! What is upgraded, and the documented steps that upgrade it, on the Kubernetes API.
//!
//! A [`Subject`] knows what its objects are called ([`Names`]). Unless it is told other names they are Cilium's: DaemonSet
//! `cilium`, container `cilium-agent`, ConfigMap `cilium-config`. Whatever a chart of these names renders can be driven,
//! real Cilium or a stand-in for it. Steps of Cilium's guide alone know no other names: its pre-flight check, its
//! ConfigMap, its identities, what is run in and beside its agents.

mod apply;
mod beside;
mod chart;
mod config;
mod driver;
mod exec;
mod identities;
mod layout;
mod manifests;
mod names;
mod obstacle;
mod pod;
mod policy;
mod preflight;
mod rollback;
mod rollout;
mod scrape;
mod snapshot;

pub use apply::ApplyError;
pub use beside::BesideError;
pub use chart::{Chart, ChartError, find, helm};
pub use cluster::existing::RUN_LABEL;
pub use config::parse_config_map;
pub use driver::{Subject, SubjectError};
pub use exec::{ExecError, Said};
pub use identities::{Fate, Migrated};
pub use layout::{Layout, Parts};
pub use manifests::objects as manifests;
pub use names::Names;
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
