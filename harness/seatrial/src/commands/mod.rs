//! One module a command.

pub(crate) mod cluster;
pub(crate) mod gc;
