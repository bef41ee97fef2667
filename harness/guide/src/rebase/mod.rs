//! Rebases a user's ConfigMap onto another version and changes nothing else.
//!
//! A three-way merge of the user's file, the defaults of the source version and those of the target.
//! Edits are text splices at positions that the parser reports. Two parsers read every result, and it
//! is compared with the decisions before it is returned.

mod absent;
mod classify;
mod decide;
mod doubt;
mod draft;
mod edit;
mod hop;
mod incompatible;
mod kube_proxy;
pub(crate) mod lines;
pub mod render;
mod routing;
mod rules;
pub(crate) mod scalar;
mod template;
mod values;
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

/// The input of a rebase, besides the file.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Version that the file is for.
    pub from: &'a Version,
    /// Target version.
    pub to: &'a Version,
    /// Template of the target; the built-in defaults if absent.
    pub template: Option<&'a Template>,
    /// Keys that take the target's default although that changes the behaviour of the cluster.
    pub adopt: BTreeSet<String>,
    /// Whether keys without comments get those of the template.
    pub comments: bool,
}

/// The outcome of a rebase.
#[derive(Clone, Debug)]
pub struct Rebased {
    /// The new file.
    pub text: String,
    /// The decision on each key: first those of the file in file order, then the added ones.
    pub decisions: Vec<Decision>,
    /// Removed metadata of the API server.
    pub dropped: Vec<String>,
    /// Why the file seems to be of another version than the given one.
    pub doubt: Option<String>,
    /// Tools that manage the ConfigMap and revert changes.
    pub managers: Vec<String>,
}

/// The decision on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The key, by its name after the rebase.
    pub key: String,
    /// Its name before, if that differs.
    pub old_key: Option<String>,
    /// The class of the decision.
    pub class: Class,
    /// Its value before.
    pub before: Option<String>,
    /// Its value after.
    pub after: Option<String>,
    /// The effect of the change on a running cluster.
    pub effect: OnChange,
    /// Why.
    pub why: String,
    /// Where this was read.
    pub source: Option<String>,
}

/// The class of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The key and its value stay.
    Kept,
    /// The key stays, although neither a template nor the guide lists it.
    Unknown,
    /// New in the target.
    Added,
    /// Not in the file and left out; the reason says what holds without it.
    Omitted,
    /// The guide requires the value.
    Required,
    /// Has another name in the target.
    Renamed,
    /// Has another name and the opposite value in the target.
    Inverted,
    /// The target writes the value differently.
    Replaced,
    /// Takes the default of the target, as requested.
    Adopted,
    /// Stays, but is deprecated.
    Deprecated,
    /// The target does not read it.
    Removed,
    /// Removed by the target, which then behaves differently.
    Lost,
    /// The default changed; the current value stays.
    DefaultFlipped,
    /// Nothing is changed until a person decides.
    Conflict,
}

/// Why a rebase was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RebaseError {
    /// The file cannot be read.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// The ConfigMap belongs to another program.
    #[error(
        "{position}: the ConfigMap {name} is not Cilium's: {known} of its {keys} keys are known; give cilium-config"
    )]
    NotCilium {
        /// Where it starts.
        position: Position,
        /// Its name.
        name: String,
        /// How many keys are known.
        known: usize,
        /// How many keys it has.
        keys: usize,
    },
    /// The layout of the file cannot be edited line by line.
    #[error("{position}: {what} cannot be edited in place: write each entry on separate lines")]
    Shape {
        /// Where.
        position: Position,
        /// What cannot be edited.
        what: String,
    },
    /// No key would be left.
    #[error("{to} reads none of its keys: check that the file is for {from}")]
    Empty {
        /// Version that the file is for.
        from: Version,
        /// Target version.
        to: Version,
    },
    /// The result failed its verification.
    #[error("the rebased file failed its verification and was not written: {detail}")]
    Unproven {
        /// The difference.
        detail: String,
    },
}

impl Decision {
    /// Tells whether the decision changes the file.
    pub fn is_change(&self) -> bool {
        self.old_key.is_some() || self.before != self.after
    }
}

impl Rebased {
    /// Tells whether a person must decide or accept a change of behaviour.
    pub fn needs_attention(&self) -> bool {
        self.decisions.iter().any(|decision| matches!(decision.class, Class::Conflict | Class::Lost))
            || self.doubt.is_some()
    }

    /// Tells whether a key changes or a conflict is open.
    pub fn is_pending(&self) -> bool {
        let open = |decision: &Decision| decision.is_change() || decision.class == Class::Conflict;
        self.decisions.iter().any(open) || !self.dropped.is_empty()
    }
}

/// Rebases the ConfigMap in a text.
///
/// # Errors
/// Fails when the text cannot be read or edited, and when the result fails its verification.
pub fn rebase(text: &str, request: &Request<'_>) -> Result<Rebased, RebaseError> {
    let config = ConfigMap::read(text)?;
    doubt::require_cilium(&config, request.template)?;
    let decisions = decide::decide(&config, request);
    if decisions.iter().all(|decision| decision.after.is_none()) {
        return Err(RebaseError::Empty { from: request.from.clone(), to: request.to.clone() });
    }
    let mut edited = edit::apply(text, &config, &decisions, request)?;
    // A text without a final line end keeps none, unless a block scalar at its end needs it.
    let trimmed = edited.text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    if let Some(trimmed) = trimmed.filter(|_| !text.ends_with('\n')) {
        let trimmed = Edited { text: trimmed.to_owned(), dropped: edited.dropped.clone() };
        if verify::verify(&config, &decisions, &trimmed).is_ok() {
            edited = trimmed;
        }
    }
    verify::verify(&config, &decisions, &edited)?;
    Ok(Rebased {
        text: edited.text,
        decisions,
        dropped: edited.dropped,
        doubt: doubt::of_version(&config, request.from),
        managers: doubt::managers(&config),
    })
}

#[cfg(test)]
mod effect_tests;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod path_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;
