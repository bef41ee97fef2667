//! The identity of clients outside of the cluster whose packets a node masquerades: the node's, which may
//! always reach its pods, or the world's, which policy must allow.

use crate::agent::config::{ConfigError, Settings};

/// The identity that a version gives to traffic that a node masquerades on its way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MasqueradedWorld {
    /// As the node.
    Host,
    /// The node's if `legacy-host-allows-world` is true, or if it is not set and this is true.
    Option { unset: bool },
    /// As the world.
    World,
}

impl MasqueradedWorld {
    /// Whether it has the identity of the node with these settings.
    pub(crate) fn is_host(self, settings: &Settings) -> Result<bool, ConfigError> {
        match self {
            Self::Host => Ok(true),
            Self::Option { unset } => settings.enabled("legacy-host-allows-world", unset),
            Self::World => Ok(false),
        }
    }
}
