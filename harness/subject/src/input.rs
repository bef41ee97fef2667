//! Errors in what a person gave.

/// Input that cannot be used; nothing was changed. The message is for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);
