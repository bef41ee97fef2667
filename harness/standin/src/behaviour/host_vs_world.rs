//! As whom a pod sees those outside of the cluster whose packets a node gives its own address: as the node, which may
//! always ask its pods, or as the world, which policy must let in.

use crate::agent::config::{ConfigError, Settings};

/// As whom a version takes what a node masquerades on its way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MasqueradedWorld {
    /// As the node.
    Host,
    /// As the node where `legacy-host-allows-world` says so, or where it says nothing and this holds.
    Option { unset: bool },
    /// As the world.
    World,
}

impl MasqueradedWorld {
    /// Whether it is taken for the node, with these settings.
    pub(crate) fn is_host(self, settings: &Settings) -> Result<bool, ConfigError> {
        match self {
            Self::Host => Ok(true),
            Self::Option { unset } => settings.enabled("legacy-host-allows-world", unset),
            Self::World => Ok(false),
        }
    }
}
