//! Moves a user's ConfigMap to the template of another version, changing nothing else.
//!
//! A three-way merge: the user's file, the defaults of the source version, those of the target.
//! Edits are text splices at positions the parser reports; every result is read again by two
//! parsers and compared with what was decided before anyone sees it.

mod decide;
mod edit;
pub mod render;
mod scalar;
mod template;
mod verify;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configmap::ConfigMap;
use crate::keys::OnChange;
use crate::yaml::{Position, YamlError};
use model::Version;

use edit::Edited;
pub use template::Template;

/// What a rebase is to do.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Version that the file is for.
    pub from: &'a Version,
    /// Version that it shall be for.
    pub to: &'a Version,
    /// Template of the target; without one the built-in defaults are used.
    pub template: Option<&'a Template>,
    /// Keys that take the target's default although that changes today's behaviour.
    pub adopt: BTreeSet<String>,
    /// Whether comments of the template go above keys that have none.
    pub comments: bool,
}

/// The outcome of a rebase.
#[derive(Clone, Debug)]
pub struct Rebased {
    /// The new file.
    pub text: String,
    /// What was decided for each key, in file order, then the added ones.
    pub decisions: Vec<Decision>,
    /// Server-made metadata that was dropped.
    pub dropped: Vec<String>,
}

/// What happens to one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The key, by its name after the rebase.
    pub key: String,
    /// Its name before, if that differs.
    pub old_key: Option<String>,
    /// What happens.
    pub class: Class,
    /// Its value before.
    pub before: Option<String>,
    /// Its value after.
    pub after: Option<String>,
    /// What the change does to a running cluster.
    pub effect: OnChange,
    /// Why.
    pub why: String,
    /// Where that was read.
    pub source: Option<String>,
}

/// How a key is classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Stays as it is.
    Kept,
    /// Stays as it is: no template and no guide knows it.
    Unknown,
    /// New in the target.
    Added,
    /// New in the target and left out, because absent means today's behaviour.
    Omitted,
    /// The guide requires the value.
    Required,
    /// Has another name in the target.
    Renamed,
    /// Has another name and the opposite value in the target.
    Inverted,
    /// The target writes the value differently.
    Replaced,
    /// The target takes its default although the user's file has today's.
    Adopted,
    /// Stays, but a later version will not read it.
    Deprecated,
    /// The target does not read it.
    Removed,
    /// The template's default changed; today's value stays.
    DefaultFlipped,
    /// Two keys say different things; both stay until a person decides.
    Conflict,
}

/// Why a rebase was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RebaseError {
    /// The file cannot be read.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// The file is written in a way that cannot be edited line by line.
    #[error("{position}: {what} cannot be edited in place: write each entry on lines of its own")]
    Shape {
        /// Where.
        position: Position,
        /// What is there.
        what: String,
    },
    /// No key would be left.
    #[error("none of its keys would be left in {to}: is it really for {from}?")]
    Empty {
        /// Version that the file is said to be for.
        from: Version,
        /// Version that it shall be for.
        to: Version,
    },
    /// The result did not prove right, so it is withheld.
    #[error("refused to write, because the result does not prove right: {detail}")]
    Unproven {
        /// What differs.
        detail: String,
    },
}

impl Decision {
    /// Tells whether it changes the file.
    pub fn is_change(&self) -> bool {
        self.old_key.is_some() || self.before != self.after
    }
}

impl Rebased {
    /// Tells whether something is to be done: a key to change or a conflict to solve.
    pub fn is_pending(&self) -> bool {
        let open = |decision: &Decision| decision.is_change() || decision.class == Class::Conflict;
        self.decisions.iter().any(open) || !self.dropped.is_empty()
    }
}

/// Rebases the ConfigMap in a text.
///
/// # Errors
/// Fails when the text cannot be read or edited, and when the result does not prove right.
pub fn rebase(text: &str, request: &Request<'_>) -> Result<Rebased, RebaseError> {
    let config = ConfigMap::read(text)?;
    let decisions = decide::decide(&config, request);
    if decisions.iter().all(|decision| decision.after.is_none()) {
        return Err(RebaseError::Empty { from: request.from.clone(), to: request.to.clone() });
    }
    let mut edited = edit::apply(text, &config, &decisions, request)?;
    // A text without a final line end stays one, unless a block scalar at its end needs it.
    let trimmed = edited.text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    if let Some(trimmed) = trimmed.filter(|_| !text.ends_with('\n')) {
        let trimmed = Edited { text: trimmed.to_owned(), dropped: edited.dropped.clone() };
        if verify::verify(&config, &decisions, &trimmed).is_ok() {
            edited = trimmed;
        }
    }
    verify::verify(&config, &decisions, &edited)?;
    Ok(Rebased { text: edited.text, decisions, dropped: edited.dropped })
}

#[cfg(test)]
mod tests;
