//! Plans: the stages between two versions, with procedures and hazards. Pure; no cluster is contacted.

mod chart;
mod preflight;
mod procedure;
mod release;
pub mod render;
mod route;
mod step;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use preflight::{Preflight, Variant};
pub use route::{Options, PlanError, plan, plan_for, plan_with};
pub use step::{Rollback, Step};

use crate::data::{Confidence, Span};
use crate::hazard::Hazard;
use crate::required::ConfigChange;
use model::Impact;
use model::{Minor, Version};

/// The stages of an upgrade or a downgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always `seatrial/plan/v1`.
    pub schema: String,
    /// Version before.
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// The stages, in order; each starts where the previous one ends.
    pub stages: Vec<Stage>,
    /// Notes on the plan as a whole.
    pub notes: Vec<String>,
}

/// What a stage changes: the minor, to a newer or an older one, or the patch release only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StageKind {
    /// To a newer minor.
    #[serde(rename = "up")]
    Upgrade,
    /// To an older minor.
    #[serde(rename = "down")]
    Downgrade,
    /// To another patch release of the same minor, newer or older.
    #[serde(rename = "micro")]
    Patch,
}

/// One hop that the guide lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Version before.
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// What it changes.
    #[serde(rename = "direction")]
    pub kind: StageKind,
    /// Whether the whole DaemonSet must be applied, not only a new image.
    pub daemonset_required: bool,
    /// Impact on layer 3 and 4; for a downgrade that of the same hop upwards.
    pub l3: Impact,
    /// Impact on traffic through a layer 7 proxy.
    pub l7: Impact,
    /// The budget of a measured run for layer 3 and 4 at that impact, as text; absent without budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l3_budget: Option<String>,
    /// The budget of a measured run for traffic through a layer 7 proxy; absent without budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l7_budget: Option<String>,
    /// Where the guide lists the hop.
    pub source: String,
    /// How certain the impact is.
    pub confidence: Confidence,
    /// Kubernetes minors that the target version was tested with.
    pub kubernetes: Option<Span<Minor>>,
    /// Whether the cluster's Kubernetes is among them; absent when either is unknown.
    pub kubernetes_ok: Option<bool>,
    /// ConfigMap keys that must be set before the stage starts.
    pub config_changes: Vec<ConfigChange>,
    /// Pre-flight checks to run before the agents are upgraded.
    pub preflight: Vec<Preflight>,
    /// The procedure, in order, pre-flight checks included.
    pub steps: Vec<Step>,
    /// What can go wrong on this cluster.
    pub hazards: Vec<Hazard>,
    /// How to roll back.
    pub rollback: Rollback,
}

impl Plan {
    /// The name of the JSON form.
    pub const SCHEMA: &'static str = "seatrial/plan/v1";
}
