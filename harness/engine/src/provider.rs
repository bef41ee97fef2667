//! The options with which every command chooses a provider.

use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use cluster::registry::PROVIDERS;
use cluster::{Components, Mirror, ProviderOptions};

use crate::components::Place;
use crate::errors;
use crate::exit::Usage;
use crate::paths;
use crate::place::existing::{ExistingOptions, HEADING, Purpose};
use crate::place::{ExistingCluster, Place as RunPlace};

/// Which provider, and its options.
#[derive(Clone, Debug, Args)]
pub struct Provider {
    /// Provider of the cluster.
    #[arg(long = "provider", value_name = "PROVIDER", default_value = PROVIDERS[0].name, value_parser = names())]
    name: String,
    /// Give nodes and pods IPv6 addresses in addition to IPv4.
    #[arg(long, conflicts_with = "kind_config")]
    dual_stack: bool,
    /// Configuration of the kind cluster: two-node, kube-proxy, dual-stack, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    kind_config: Option<String>,
    /// Node image of the kind cluster. The default has the newest Kubernetes that all versions of Cilium were tested with;
    /// for the stand-in, it is the newest image of ci/kind-node-image, else the default of kind.
    #[arg(long, env = "SEATRIAL_KIND_IMAGE", value_name = "IMAGE")]
    kind_image: Option<String>,
    /// Existing Docker network for the nodes of the kind cluster, so that they reach external services such as a registry
    /// or an etcd. By default they get their own, which is removed with them.
    #[arg(long, value_name = "NETWORK")]
    docker_network: Option<String>,
    /// Registry mirror from which the nodes of the kind cluster pull the images of HOST first, as in
    /// docker.io=http://192.168.0.2:5000. Can be repeated.
    #[arg(long, value_name = "HOST=URL")]
    registry_mirror: Vec<Mirror>,
    #[command(flatten)]
    named: ExistingOptions,
    /// Repeat the context, to confirm that the agents of this cluster may be changed (for --provider existing).
    #[arg(long, value_name = "CONTEXT", help_heading = HEADING)]
    yes_upgrade: Option<String>,
    #[command(flatten)]
    /// Where the programs of the cluster come from.
    pub place: Place,
}

/// The names of all providers.
fn names() -> PossibleValuesParser {
    let value = |provider: &cluster::Registration| PossibleValue::new(provider.name).help(provider.summary);
    PossibleValuesParser::new(PROVIDERS.iter().map(value))
}

impl Provider {
    /// A sandbox, whatever the options of the command are.
    #[must_use]
    pub fn sandbox(place: Place) -> Self {
        Self {
            name: PROVIDERS[0].name.to_owned(),
            dual_stack: false,
            kind_config: None,
            kind_image: None,
            docker_network: None,
            registry_mirror: Vec::new(),
            named: ExistingOptions::default(),
            yes_upgrade: None,
            place,
        }
    }

    /// The provider, with its options; an existing cluster has to be looked at first.
    ///
    /// # Errors
    /// When the provider refuses an option.
    pub fn provider(&self) -> Result<Arc<dyn cluster::Provider>, Usage> {
        let options = ProviderOptions {
            dual_stack: self.dual_stack,
            api_port: self.place.api_port,
            kind_config: self.kind_config.clone(),
            kind_image: self.kind_image.clone(),
            docker_network: self.docker_network.clone(),
            registry_mirrors: self.registry_mirror.clone(),
            context: self.named.context().map(str::to_owned),
            kubeconfig: self.named.kubeconfig_option(),
            yes_upgrade: self.yes_upgrade.clone(),
        };
        cluster::registry::from_options(&self.name, &options).map_err(|e| Usage(e.to_string()))
    }

    /// Whether an option fixes the number of nodes.
    #[must_use]
    pub fn has_config(&self) -> bool {
        self.kind_config.is_some()
    }

    /// Whether the cluster exists already.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.name == cluster::existing::NAME
    }

    /// Checks what can be checked before anything exists.
    ///
    /// # Errors
    /// When an option is wrong or missing, or this machine lacks something.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.is_there() {
            self.named.both()?;
        }
        errors::machine_is_ready(&*self.provider()?)
    }

    /// Checks that nodes can get images that nobody loads into them, where those are needed.
    ///
    /// # Errors
    /// When they cannot.
    pub fn can_pull(&self, needed: bool) -> Result<(), Usage> {
        // Options are checked later: until then, only the default provider is known not to pull.
        let pulls = self.provider().map_or(true, |provider| provider.capabilities().pulls_images);
        if needed && !pulls {
            let remedy =
                "load them with --images, replace Cilium's with ours (--shim), or use --provider kind";
            return Err(Usage(format!("nodes of a {} cannot pull images: {remedy}", self.name)));
        }
        Ok(())
    }

    /// The place of the run `id`: the existing cluster as it is now, or one that is created with so many nodes.
    ///
    /// # Errors
    /// When an option is wrong or missing, or the existing cluster cannot be used.
    pub async fn place(&self, id: &str, nodes: u8) -> anyhow::Result<RunPlace> {
        if !self.is_there() {
            return Ok(RunPlace::created(id, self.provider()?, self.components(), nodes));
        }
        self.check()?;
        let existing = ExistingCluster::find(&self.named, id, nodes, Purpose::Upgrade).await?;
        Ok(RunPlace::existing(id, existing, self.components()))
    }

    /// The programs that clusters consist of.
    #[must_use]
    pub fn components(&self) -> Components {
        Components::new(self.place.components.clone(), paths::cache())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        provider: Provider,
    }

    fn parse(words: &[&str]) -> Provider {
        Line::parse_from(["line"].iter().chain(words)).provider
    }

    #[rstest]
    #[case::shape_for_a_sandbox(&["--kind-config", "two-node"], "--provider sandbox does not take --kind-config")]
    #[case::port_of_kind(&["--provider", "kind", "--api-port", "7000"], "networking.apiServerPort")]
    #[case::no_context(&["--provider", "existing"], "name the cluster with --context")]
    #[case::no_image(&["--provider", "existing", "--context", "prod"], "--image")]
    #[case::not_confirmed(&["--provider", "existing", "--context", "prod", "--image", "i"], "--yes-upgrade prod")]
    #[case::no_such_shape(&["--provider", "kind", "--kind-config", "nothing"], "kind configuration")]
    fn bad_options_are_usage_errors(#[case] words: &[&str], #[case] expected: &str) {
        let error = parse(words).check().unwrap_err();
        assert!(error.is::<Usage>(), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
