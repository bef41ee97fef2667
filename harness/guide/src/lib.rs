//! The Cilium upgrade guide as data and pure functions: versions, transitions, plans,
//! ConfigMap rebase, policy and metric lint. Nothing here does IO.

pub mod catalogue;
mod configmap;
mod data;
mod hazard;
pub mod identity;
mod kernel;
mod keys;
pub mod lint;
mod node_image;
pub mod plan;
pub mod policy;
pub mod rebase;
mod required;
pub mod schema;
mod transition;
pub mod yaml;

pub use catalogue::{UnknownVersion, resolve};
pub use configmap::ConfigMap;
pub use data::{Confidence, Span};
pub use hazard::{Applies, Facts, Hazard, hazard_ids, hazard_remedy, hazard_scenarios};
pub use kernel::{Kernel, ParseKernelError};
pub use keys::OnChange;
pub use model::{Impact, Minor, ParseVersionError, Version, VersionSpec};
pub use node_image::{NodeImage, node_image, node_images};
pub use plan::{
    Direction, Options, Plan, PlanError, Preflight, Rollback, Stage, Step, Variant, plan, plan_for, plan_with,
};
pub use required::{ConfigChange, required_changes};
pub use transition::{Row, micro, transitions};
