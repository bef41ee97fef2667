//! Every arm of every built-in scenario, planned.

use super::embedded;
use super::file::{Scenario, ScenarioError};
use super::steps::{NoProcedure, procedure};
use crate::run::procedure::Procedure;
use crate::steps::Arm;

/// An arm.
#[derive(Debug)]
pub struct Planned {
    /// Name of the scenario.
    pub scenario: String,
    /// The arm.
    pub arm: Arm,
    /// Its procedure; none where the guide does not list the transition, so that nothing runs.
    pub procedure: Option<Procedure>,
}

/// Plans them all, in order of name.
///
/// # Errors
/// When one cannot be read.
pub fn all() -> Result<Vec<Planned>, ScenarioError> {
    let mut all = Vec::new();
    for (name, text) in embedded::ALL {
        let scenario = Scenario::parse(name, text)?;
        for arm in scenario.arms() {
            let procedure = match procedure(name, &scenario, arm) {
                Ok(procedure) => Some(procedure),
                Err(NoProcedure::Refused(_)) => None,
                Err(NoProcedure::File(e)) => return Err(e),
            };
            all.push(Planned { scenario: scenario.name.value.clone(), arm, procedure });
        }
    }
    Ok(all)
}
