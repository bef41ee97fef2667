//! What the record of a run begins with, whoever made the cluster.

use std::path::PathBuf;

use probe::budget::Budgets;
use report::run::Transition;

use super::recipe::Recipe;

/// The beginning of a record, and what its end is judged by.
#[derive(Clone, Debug)]
pub struct Brief {
    pub id: String,
    /// The folder for the run's folder.
    pub out: PathBuf,
    pub verbose: bool,
    /// What is upgraded, by name.
    pub subject: String,
    /// Where the cluster comes from, by name.
    pub provider: String,
    /// The transitions that are planned.
    pub path: Vec<Transition>,
    /// The command that runs this again.
    pub again: String,
    /// What flows may lose, where the standard budgets do not hold.
    pub budgets: Option<Budgets>,
    /// What it takes to run this elsewhere, where that can be said.
    pub recipe: Option<Recipe>,
}
