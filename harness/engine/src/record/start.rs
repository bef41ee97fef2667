//! What the record of a run starts with.

use std::path::PathBuf;

use report::run::Transition;

use crate::run::recipe::Recipe;

/// The start of a record.
#[derive(Clone, Debug)]
pub(crate) struct RecordStart {
    /// The id of the run.
    pub(crate) id: String,
    /// The folder for the run folder.
    pub(crate) out: PathBuf,
    pub(crate) audience: Audience,
    /// The name of what is upgraded.
    pub(crate) subject: String,
    /// The name of the provider.
    pub(crate) provider: String,
    /// The planned transitions.
    pub(crate) path: Vec<Transition>,
    /// How the run is repeated elsewhere; `None` where it cannot be.
    pub(crate) recipe: Option<Recipe>,
    /// The last calibration on this machine, in a sentence.
    pub(crate) calibration: Option<String>,
}

/// What the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The progress, and the summary of the run.
    Run {
        /// Whether flows that lost nothing are listed.
        verbose: bool,
    },
    /// The progress of the steps. The record is for another part of this program.
    Steps,
    /// Nothing.
    #[cfg(test)]
    Nobody,
}
