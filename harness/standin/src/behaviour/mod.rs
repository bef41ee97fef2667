//! What a version does differently: a version is a short list of behaviours, and each behaviour has its file.

pub(crate) mod cni_conf;
pub(crate) mod custom_resources;
pub(crate) mod identity_backend;

use crate::version::{Version, VersionError};
use cni_conf::CniConf;
use custom_resources::{CustomResources, POLICIES_AND_ENDPOINTS, WITH_NODES_AND_IDENTITIES};
use identity_backend::BackendChoice;

/// The behaviours of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behaviours {
    /// How the version treats a CNI configuration that already exists.
    pub(crate) cni_conf: CniConf,
    /// Where the version can keep identities.
    pub(crate) backend: BackendChoice,
    /// What the version registers with the API server.
    pub(crate) custom_resources: CustomResources,
}

impl Behaviours {
    /// Looks up what `version` does.
    pub(crate) fn of(version: Version) -> Result<Self, VersionError> {
        match (version.major, version.minor) {
            (1, 5) => Ok(Self {
                cni_conf: CniConf::KeepExisting,
                backend: BackendChoice::KvstoreOnly,
                custom_resources: POLICIES_AND_ENDPOINTS,
            }),
            (1, 6) => Ok(Self {
                cni_conf: CniConf::Overwrite,
                backend: BackendChoice::Selectable,
                custom_resources: WITH_NODES_AND_IDENTITIES,
            }),
            _ => Err(VersionError::NotPlayed(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_played_is_refused() {
        let version = Version { major: 1, minor: 7, patch: 0 };
        assert_eq!(Behaviours::of(version), Err(VersionError::NotPlayed(version)));
    }
}
