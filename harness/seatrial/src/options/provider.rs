//! The options with which every command chooses a provider.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use cluster::registry::PROVIDERS;
use cluster::{Mirror, ProviderOptions};
use engine::provider::Provider;

use super::components::ComponentArgs;
use super::existing::{ExistingArgs, HEADING};

/// Which provider, and its options.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProviderArgs {
    /// Provider of the cluster.
    #[arg(long, default_value = PROVIDERS[0].name, value_parser = names())]
    provider: String,
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
    existing: ExistingArgs,
    /// Repeat the context, to confirm that the agents of this cluster may be changed (for --provider existing).
    #[arg(long, value_name = "CONTEXT", help_heading = HEADING)]
    yes_upgrade: Option<String>,
    #[command(flatten)]
    components: ComponentArgs,
}

/// The names of all providers.
fn names() -> PossibleValuesParser {
    let value = |provider: &cluster::Registration| PossibleValue::new(provider.name).help(provider.summary);
    PossibleValuesParser::new(PROVIDERS.iter().map(value))
}

impl ProviderArgs {
    /// The choice for the engine.
    pub(crate) fn choice(self) -> Provider {
        let existing = self.existing.options();
        let options = ProviderOptions {
            dual_stack: self.dual_stack,
            api_port: self.components.api_port,
            kind_config: self.kind_config,
            kind_image: self.kind_image,
            docker_network: self.docker_network,
            registry_mirrors: self.registry_mirror,
            context: existing.context.clone(),
            kubeconfig: existing.kubeconfig.clone(),
            yes_upgrade: self.yes_upgrade,
        };
        Provider { name: self.provider, options, existing, components: self.components.components }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use engine::exit::Usage;
    use rstest::rstest;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        provider: ProviderArgs,
    }

    #[rstest]
    #[case::shape_for_a_sandbox(&["--kind-config", "two-node"], "--provider sandbox does not take --kind-config")]
    #[case::port_of_kind(&["--provider", "kind", "--api-port", "7000"], "networking.apiServerPort")]
    #[case::no_context(&["--provider", "existing"], "name the cluster with --context")]
    #[case::no_image(&["--provider", "existing", "--context", "prod"], "--image")]
    #[case::not_confirmed(&["--provider", "existing", "--context", "prod", "--image", "i"], "--yes-upgrade prod")]
    #[case::no_such_shape(&["--provider", "kind", "--kind-config", "nothing"], "kind configuration")]
    fn bad_options_are_usage_errors(#[case] words: &[&str], #[case] expected: &str) {
        let args = Line::parse_from(["line"].iter().chain(words)).provider;
        let error = args.choice().check().unwrap_err();
        assert!(error.is::<Usage>(), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
