//! Rebases a values file of the Helm chart onto another version and changes nothing else.
//!
//! Facts about each minor decide on one hop after the other, so that a direct rebase and one in steps agree. Edits are text
//! splices at positions that the parser reports, and the result is read again and compared with the decisions.

mod decide;
mod defaults;
mod draft;
mod edit;
mod facts;
mod hop;
mod insert;
mod known;
mod path;
pub mod render;
mod root;
mod rules;
mod verify;
mod words;

use serde_json::Value;

use crate::rebase::{Class, Decision};
use crate::yaml::{Position, YamlError};
use model::Version;

pub(crate) use facts::File as Facts;

/// The input of a rebase, besides the file.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Version that the file is for.
    pub from: &'a Version,
    /// Target version.
    pub to: &'a Version,
    /// The default values of both charts, if they are at hand: of the source and of the target.
    pub charts: Option<(&'a Value, &'a Value)>,
}

/// The outcome of a rebase.
#[derive(Clone, Debug)]
pub struct Rebased {
    /// The new file.
    pub text: String,
    /// The decision on each value: first those of the file in file order, then the added ones.
    pub decisions: Vec<Decision>,
    /// The values before, as helm reads them.
    pub before: Value,
    /// The values after.
    pub after: Value,
}

/// Why a rebase was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// The file cannot be read.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// It is not a values file of Cilium's chart.
    #[error(
        "{position}: no value of Cilium's chart is in it; give a values file, or a HelmRelease with values"
    )]
    NotValues {
        /// Where it starts.
        position: Position,
    },
    /// It is an object of Kubernetes.
    #[error("{position}: it is a {kind}; a ConfigMap is rebased without --values")]
    Object {
        /// Where it starts.
        position: Position,
        /// Its kind.
        kind: String,
    },
    /// There is no chart of this version.
    #[error("Cilium {version} has no Helm chart: the oldest is that of 1.6")]
    NoChart {
        /// The version.
        version: Version,
    },
    /// The result failed its verification.
    #[error("the rebased file failed its verification and was not written: {detail}")]
    Unproven {
        /// The difference.
        detail: String,
    },
}

impl Rebased {
    /// Tells whether a person must decide or accept a change of behaviour.
    pub fn needs_attention(&self) -> bool {
        self.decisions.iter().any(|decision| matches!(decision.class, Class::Conflict | Class::Lost))
    }

    /// Tells whether a value changes or a conflict is open.
    pub fn is_pending(&self) -> bool {
        self.decisions.iter().any(|decision| decision.is_change() || decision.class == Class::Conflict)
    }
}

/// Rebases the values in a text.
///
/// # Errors
/// Fails when the text cannot be read, and when the result fails its verification.
pub fn rebase(text: &str, request: &Request<'_>) -> Result<Rebased, ValuesError> {
    for version in [request.from, request.to] {
        if version.minor() < known::FIRST {
            return Err(ValuesError::NoChart { version: version.clone() });
        }
    }
    let root = root::find(text)?;
    let Some(root) = root else {
        // An empty file takes all defaults.
        let draft = decide::decide(&[], request);
        return finish(text, None, &draft);
    };
    let draft = decide::decide(&path::leaves(&root), request);
    finish(text, Some(&root), &draft)
}

fn finish(
    text: &str,
    root: Option<&crate::yaml::Node>,
    draft: &draft::Draft,
) -> Result<Rebased, ValuesError> {
    let before = root.map_or_else(|| Value::Object(serde_json::Map::new()), path::json);
    let after = edit::expected(&before, draft);
    let text = edit::apply(text, root, draft, &after);
    verify::verify(&text, &after)?;
    Ok(Rebased { text, decisions: draft.decisions(), before, after })
}

#[cfg(test)]
mod tests;
