//! The Cilium upgrade guide as data and pure functions: versions, transitions, plans,
//! ConfigMap and values rebase, policy and metric lint. This crate does no IO.

pub mod catalogue;
mod combinations;
mod configmap;
mod data;
mod facts;
mod hazard;
mod kernel;
mod keys;
pub mod lint;
mod node_image;
pub mod option_list;
mod options;
pub mod plan;
pub mod policy;
pub mod rebase;
pub mod rendered;
mod required;
pub mod schema;
mod splice;
mod transition;
pub mod values;
pub mod yaml;

pub use catalogue::{UnknownVersion, resolve};
pub use configmap::ConfigMap;
pub use data::{Confidence, Span};
pub use facts::{BudgetTexts, Facts};
pub use hazard::{Applies, Hazard, hazard_ids, hazard_remedy, hazard_scenarios};
pub use kernel::{Kernel, ParseKernelError};
pub use keys::OnChange;
pub use node_image::{NodeImage, node_image, node_images};
pub use options::Kind;
pub use plan::{
    Options, Plan, PlanError, Preflight, Rollback, Stage, StageKind, Step, Variant, plan, plan_for, plan_with,
};
pub use required::{ConfigChange, required_changes};
pub use transition::{Row, micro, transitions};
