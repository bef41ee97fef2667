//! From two versions to the stages between them. Pure: nothing here looks at a cluster.

mod preflight;
mod procedure;
pub mod render;
mod route;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use preflight::{Preflight, Variant};
pub use procedure::{Rollback, Step};
pub use route::{Options, PlanError, plan, plan_for, plan_with};

use crate::data::{Confidence, Span};
use crate::hazard::Hazard;
use crate::required::ConfigChange;
use model::Impact;
use model::{Minor, Version};

/// The way from one version to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always `seatrial/plan/v1`.
    pub schema: String,
    /// Version before.
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// The hops, in order; each starts where the last one ended.
    pub stages: Vec<Stage>,
    /// What a person should know about the whole way.
    pub notes: Vec<String>,
}

/// Which way a stage goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To a newer minor.
    Up,
    /// To an older minor.
    Down,
    /// To another patch of the same minor, newer or older.
    Micro,
}

/// One hop that the guide lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Version before.
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// Which way it goes.
    pub direction: Direction,
    /// Whether the DaemonSet, not only its image, must be upgraded.
    pub daemonset_required: bool,
    /// Impact on layer 3 and 4; for a downgrade that of the same hop upwards.
    pub l3: Impact,
    /// Impact on traffic through a layer 7 proxy.
    pub l7: Impact,
    /// What a measured run allows layer 3 and 4 for that impact, in words; absent where nobody measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l3_budget: Option<String>,
    /// What a measured run allows traffic through a layer 7 proxy, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l7_budget: Option<String>,
    /// Where the guide lists the hop.
    pub source: String,
    /// How sure the impact is.
    pub confidence: Confidence,
    /// Kubernetes minors that the version after was tested with.
    pub kubernetes: Option<Span<Minor>>,
    /// Whether the cluster's Kubernetes is among them; absent when either is not known.
    pub kubernetes_ok: Option<bool>,
    /// ConfigMap keys that must be set before it starts.
    pub config_changes: Vec<ConfigChange>,
    /// What to run before the agents are touched.
    pub preflight: Vec<Preflight>,
    /// What to do, in order, the preflights included.
    pub steps: Vec<Step>,
    /// What can go wrong on this cluster.
    pub hazards: Vec<Hazard>,
    /// How to go back.
    pub rollback: Rollback,
}

impl Plan {
    /// The name of the JSON form.
    pub const SCHEMA: &'static str = "seatrial/plan/v1";
}
