//! What the record of a run begins with, whoever made the cluster.

use std::path::PathBuf;

use probe::budget::Budgets;
use report::run::Transition;

use super::recipe::Recipe;
use super::request::Request;
use crate::redact::redact;

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

impl Request {
    pub fn brief(&self) -> Brief {
        let path = self.procedure.hops().map(|hop| Transition {
            from: hop.from.to_string(),
            to: hop.to.to_string(),
            direction: hop.direction.to_owned(),
            l3_impact: hop.l3.clone(),
            l7_impact: hop.l7.clone(),
        });
        Brief {
            id: self.id.clone(),
            out: self.out.clone(),
            verbose: self.verbose,
            subject: self.subject.name().to_owned(),
            provider: self.provider.name().to_owned(),
            path: path.collect(),
            again: redact(&self.again),
            budgets: self.budgets.clone(),
            recipe: Some(self.recipe.clone()),
        }
    }
}
