//! The steps of a procedure, and the rollback.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hazard::Hazard;

/// One step of a procedure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What the step does.
    pub name: String,
    /// Commands, in order.
    pub commands: Vec<String>,
    /// A caveat.
    pub note: Option<String>,
}

/// How to roll back, and what a rollback leaves in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Commands, in order.
    pub commands: Vec<String>,
    /// What these commands do not revert.
    pub not_undone: Vec<String>,
    /// Hazards of the rollback.
    pub hazards: Vec<Hazard>,
}

impl Step {
    pub(super) fn new(name: &str, commands: Vec<String>, note: Option<&str>) -> Self {
        Self { name: name.to_owned(), commands, note: note.map(ToOwned::to_owned) }
    }
}
