//! The options of all providers, as the command line has them.

use std::path::PathBuf;

use crate::mirror::Mirror;

/// An option was given that the chosen provider does not have, or that is missing, or that it cannot use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionError(pub String);

/// The options of all providers. Each provider refuses those that it does not have.
#[derive(Clone, Debug, Default)]
pub struct ProviderOptions {
    /// Nodes and pods have IPv6 addresses in addition to IPv4 (`--dual-stack`).
    pub dual_stack: bool,
    /// Port of the API server on 127.0.0.1; 0 for any (`--api-port`).
    pub api_port: u16,
    /// Name or file of a kind configuration (`--kind-config`).
    pub kind_config: Option<String>,
    /// Node image (`--kind-image`); it may come from the environment, so that other providers ignore it.
    pub kind_image: Option<String>,
    /// An existing Docker network for the nodes (`--docker-network`).
    pub docker_network: Option<String>,
    /// Registries that nodes ask before others (`--registry-mirror`).
    pub registry_mirrors: Vec<Mirror>,
    /// Context of an existing cluster (`--context`).
    pub context: Option<String>,
    /// Kubeconfig of an existing cluster (`--kubeconfig`); it may come from the environment, so that other providers
    /// ignore it.
    pub kubeconfig: Option<PathBuf>,
    /// The context again, as a confirmation that its agents may be upgraded (`--yes-upgrade`).
    pub yes_upgrade: Option<String>,
}

impl ProviderOptions {
    /// Refuses every option that was given and is not in `known`.
    ///
    /// # Errors
    /// Names the option and the provider.
    pub fn only(&self, provider: &str, known: &[&str]) -> Result<(), OptionError> {
        match self.given().into_iter().find(|option| !known.contains(option)) {
            Some(option) => Err(OptionError(format!(
                "--provider {provider} does not take {option}: leave it out, or choose another provider"
            ))),
            None => Ok(()),
        }
    }

    /// The options that were given, without those that may come from the environment.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("--dual-stack", self.dual_stack),
            ("--api-port", self.api_port != 0),
            ("--kind-config", self.kind_config.is_some()),
            ("--docker-network", self.docker_network.is_some()),
            ("--registry-mirror", !self.registry_mirrors.is_empty()),
            ("--context", self.context.is_some()),
            ("--yes-upgrade", self.yes_upgrade.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}
