//! Where identities are kept and shared.

use crate::agent::config::{ConfigError, Settings};

/// Which backends a version can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendChoice {
    /// Up to 1.5: always the kvstore; `identity-allocation-mode` is not an option yet.
    KvstoreOnly,
    /// From 1.6: `identity-allocation-mode` chooses, and defaults to `kvstore`.
    Selectable,
}

/// The backend in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Keys in etcd, shared by every node.
    Kvstore,
    /// `CiliumIdentity` and `CiliumEndpoint` objects, shared by every node.
    Crd,
    /// Nothing shared: with no `kvstore` set, every node numbers identities for itself.
    NodeLocal,
}

impl BackendChoice {
    /// Chooses the backend by `settings`.
    pub(crate) fn select(self, settings: &Settings) -> Result<Backend, ConfigError> {
        if self == Self::KvstoreOnly {
            return Ok(Backend::Kvstore);
        }
        match settings.get("identity-allocation-mode").unwrap_or("kvstore") {
            "crd" => Ok(Backend::Crd),
            "kvstore" => match settings.get("kvstore") {
                Some(kind) if !kind.is_empty() => Ok(Backend::Kvstore),
                _ => Ok(Backend::NodeLocal),
            },
            other => Err(ConfigError::Value {
                key: "identity-allocation-mode",
                value: other.to_owned(),
                expected: "kvstore or crd",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Backend, BackendChoice};
    use crate::agent::config::Settings;
    use rstest::rstest;

    #[rstest]
    #[case::ignores_the_mode_in_1_5(BackendChoice::KvstoreOnly, &[("identity-allocation-mode", "crd")], Backend::Kvstore)]
    #[case::unset_without_kvstore(BackendChoice::Selectable, &[], Backend::NodeLocal)]
    #[case::emptied_kvstore(BackendChoice::Selectable, &[("kvstore", "")], Backend::NodeLocal)]
    #[case::unset_with_kvstore(BackendChoice::Selectable, &[("kvstore", "etcd")], Backend::Kvstore)]
    #[case::crd(BackendChoice::Selectable, &[("identity-allocation-mode", "crd")], Backend::Crd)]
    #[case::crd_wins_over_kvstore(
        BackendChoice::Selectable,
        &[("identity-allocation-mode", "crd"), ("kvstore", "etcd")],
        Backend::Crd
    )]
    fn selects(#[case] choice: BackendChoice, #[case] settings: &[(&str, &str)], #[case] backend: Backend) {
        let settings = settings.iter().copied().collect::<Settings>();
        assert_eq!(choice.select(&settings).unwrap(), backend);
    }

    #[test]
    fn an_unknown_mode_is_an_error() {
        let settings = [("identity-allocation-mode", "etcd")].into_iter().collect::<Settings>();
        let error = BackendChoice::Selectable.select(&settings).unwrap_err();
        assert!(error.to_string().contains("identity-allocation-mode"), "{error}");
    }
}
