//! Network policy: how it is written, whom it chooses, what it allows.

pub(crate) mod model;
pub(crate) mod resolve;
pub(crate) mod selector;
