//! The CNI plugin and how it gets onto the node.

pub(crate) mod install;
pub(crate) mod plugin;
mod protocol;
