//! Where clusters come from: the options of every command that makes one, and what they ask for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cluster::{Cni, Components, Image, KindRequest, Mirror, Request, SandboxRequest, Shape, Share};
use guide::NodeImage;

use crate::components::Place;
use crate::errors;
use crate::exit::Usage;
use crate::paths;
use crate::run::existing::{HEADING, Named, Purpose, There};

/// A way to get a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProviderName {
    /// In namespaces of this machine; no container engine needed.
    Sandbox,
    /// Docker containers, made by kind.
    Kind,
    /// A cluster that is there: its agents are upgraded, and nothing else of it is touched.
    Existing,
}

/// Which provider, and how.
#[derive(Clone, Debug, Args)]
pub struct Provider {
    /// Where the cluster comes from.
    #[arg(long = "provider", value_enum, default_value_t = ProviderName::Sandbox)]
    name: ProviderName,
    /// Nodes and pods have IPv6 addresses beside those of IPv4.
    #[arg(long, conflicts_with = "kind_config")]
    dual_stack: bool,
    /// Configuration of the kind cluster: two-node, kube-proxy, dual-stack, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    kind_config: Option<String>,
    /// Node image of the kind cluster. By default one with the newest Kubernetes that Cilium's versions were tested with;
    /// for the stand-in the newest that ci/kind-node-image made, else kind's own.
    #[arg(long, env = "SEATRIAL_KIND_IMAGE", value_name = "IMAGE")]
    kind_image: Option<String>,
    /// Docker network for the nodes of the kind cluster to join, so that they reach what is on it, such as a registry or
    /// an etcd. It stays. By default they get one of their own, which goes with them.
    #[arg(long, value_name = "NETWORK")]
    docker_network: Option<String>,
    /// Registry that the nodes of the kind cluster ask first for images of HOST, as in docker.io=http://192.168.0.2:5000.
    /// May be given again.
    #[arg(long, value_name = "HOST=URL")]
    registry_mirror: Vec<Mirror>,
    #[command(flatten)]
    named: Named,
    /// The context once more, for --provider existing: the agents of this cluster shall be changed.
    #[arg(long, value_name = "CONTEXT", help_heading = HEADING)]
    yes_upgrade: Option<String>,
    #[command(flatten)]
    pub place: Place,
}

/// What a command wants of a cluster, whoever makes it.
pub struct Wanted {
    pub id: String,
    pub nodes: u8,
    pub cni: Cni,
    /// Whether addresses of both families are needed.
    pub dual_stack: bool,
    pub keep: bool,
    pub logs: PathBuf,
    pub images: Vec<Image>,
    /// Archives of further images.
    pub archives: Vec<PathBuf>,
    /// What a sandbox gets of the processors.
    pub share: Share,
    /// The node image for a kind cluster that suits the subject, if one does better than others.
    pub node_image: Option<&'static NodeImage>,
}

impl Provider {
    /// A sandbox, whatever the command's options.
    pub fn sandbox(place: Place) -> Self {
        Self {
            name: ProviderName::Sandbox,
            dual_stack: false,
            kind_config: None,
            kind_image: None,
            docker_network: None,
            registry_mirror: Vec::new(),
            named: Named::default(),
            yes_upgrade: None,
            place,
        }
    }

    /// The provider's name, as ledger and reports have it.
    pub fn name(&self) -> &'static str {
        match self.name {
            ProviderName::Sandbox => "sandbox",
            ProviderName::Kind => "kind",
            ProviderName::Existing => cluster::existing::PROVIDER,
        }
    }

    /// Whether a configuration says how many nodes there are.
    pub fn has_config(&self) -> bool {
        self.kind_config.is_some()
    }

    /// Whether a cluster of it can be left the processor time that nobody else wants.
    pub fn can_be_held_back(&self) -> bool {
        matches!(self.name, ProviderName::Sandbox) && cluster::sandbox::can_weigh()
    }

    /// Whether the subject has a say in which Kubernetes the cluster has.
    pub fn chooses_kubernetes(&self) -> bool {
        self.name == ProviderName::Kind && self.kind_image.is_none()
    }

    /// Whether the cluster was there before.
    pub fn is_there(&self) -> bool {
        self.name == ProviderName::Existing
    }

    /// Checks what can be checked before anything exists.
    pub fn check(&self) -> anyhow::Result<()> {
        let usage = |text: &str| Err(Usage(text.to_owned()).into());
        let of_kind = [
            ("--kind-config", self.kind_config.is_some()),
            ("--docker-network", self.docker_network.is_some()),
            ("--registry-mirror", !self.registry_mirror.is_empty()),
        ];
        if let Some((option, _)) = of_kind.iter().find(|(_, given)| *given)
            && self.name != ProviderName::Kind
        {
            return usage(&format!("{option} needs --provider kind"));
        }
        let named = self.named.context().is_some() || self.yes_upgrade.is_some();
        if named && self.name != ProviderName::Existing {
            return usage("--context and --yes-upgrade need --provider existing");
        }
        if self.dual_stack && self.name == ProviderName::Existing {
            return usage(
                "--dual-stack is for a cluster that is made: one that is there has the families that it has",
            );
        }
        match self.name {
            ProviderName::Sandbox => errors::machine_is_ready(),
            ProviderName::Kind if self.place.api_port != 0 => usage(
                "--api-port is for the sandbox; for kind, set networking.apiServerPort in a file and name it with \
                 --kind-config",
            ),
            ProviderName::Kind => self.shape(1, Cni::None, self.dual_stack).map(drop),
            ProviderName::Existing => {
                let (context, _) = self.named.both()?;
                if self.yes_upgrade.as_deref() == Some(context) {
                    return Ok(());
                }
                usage(&format!(
                    "--provider existing changes the agents of a cluster that is in use: say that you mean it with \
                     --yes-upgrade {context}"
                ))
            }
        }
    }

    /// Checks that nodes can get at images which nobody loads into them.
    pub fn can_pull(&self, needed: bool) -> Result<(), Usage> {
        if needed && self.name == ProviderName::Sandbox {
            let remedy = "load them with --images, put our own in the place of Cilium's with --shim, or take --provider kind";
            return Err(Usage(format!("nodes of a sandbox cannot pull images: {remedy}")));
        }
        Ok(())
    }

    /// The cluster that is there, if it is that, as it is now.
    pub async fn there(&self, id: &str, nodes: u8) -> anyhow::Result<Option<There>> {
        if !self.is_there() {
            return Ok(None);
        }
        self.check()?;
        There::look(&self.named, id, nodes, Purpose::Upgrade).await.map(Some)
    }

    /// The programs that clusters are made of.
    pub fn components(&self) -> Components {
        Components::new(self.place.components.clone(), paths::cache())
    }

    /// What is to be made.
    pub fn request(&self, wanted: Wanted) -> anyhow::Result<Request> {
        let Wanted { id, nodes, cni, dual_stack, keep, logs, images, archives, share, node_image } = wanted;
        let dual_stack = dual_stack || self.dual_stack;
        Ok(match self.name {
            ProviderName::Sandbox => {
                let api_port = self.place.api_port;
                Request::Sandbox(SandboxRequest {
                    id,
                    nodes,
                    cni,
                    dual_stack,
                    api_port,
                    keep,
                    logs,
                    images,
                    archives,
                    share,
                })
            }
            ProviderName::Kind => {
                let shape = self.shape(nodes, cni, dual_stack)?;
                let suits = || node_image.map(|node| node.image.clone());
                let image = self.kind_image.clone().or_else(suits);
                let (network, mirrors) = (self.docker_network.clone(), self.registry_mirror.clone());
                Request::Kind(KindRequest { id, shape, cni, image, network, mirrors, logs, images, archives })
            }
            ProviderName::Existing => {
                return Err(Usage("a cluster that is there cannot be made".to_owned()).into());
            }
        })
    }

    /// The configuration that was named, or the one that suits what a cluster is for.
    fn shape(&self, nodes: u8, cni: Cni, dual_stack: bool) -> anyhow::Result<Shape> {
        let standard = match cni {
            _ if dual_stack => "dual-stack",
            Cni::Bridge => "kube-proxy",
            Cni::None => "two-node",
        };
        match &self.kind_config {
            Some(config) => Ok(Shape::named(config).map_err(|e| Usage(e.to_string()))?),
            None => Ok(Shape::named(standard)?.with_nodes(nodes)),
        }
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
    #[case::shape_for_a_sandbox(&["--kind-config", "two-node"], "--kind-config needs --provider kind")]
    #[case::network_for_a_sandbox(&["--docker-network", "lab"], "--docker-network needs --provider kind")]
    #[case::mirror_for_a_sandbox(
        &["--registry-mirror", "docker.io=http://mirror:5000"],
        "--registry-mirror needs --provider kind"
    )]
    #[case::families_of_a_cluster_that_is_there(
        &["--provider", "existing", "--context", "lab", "--dual-stack"],
        "has the families that it has"
    )]
    #[case::port_of_kind(&["--provider", "kind", "--api-port", "7000"], "networking.apiServerPort")]
    #[case::context_of_a_sandbox(&["--context", "prod"], "need --provider existing")]
    #[case::no_context(&["--provider", "existing"], "name the cluster with --context")]
    #[case::no_image(&["--provider", "existing", "--context", "prod"], "--image")]
    #[case::not_said(&["--provider", "existing", "--context", "prod", "--image", "i"], "--yes-upgrade prod")]
    #[case::said_of_another(
        &["--provider", "existing", "--context", "prod", "--image", "i", "--yes-upgrade", "lab"],
        "--yes-upgrade prod"
    )]
    #[case::no_such_shape(&["--provider", "kind", "--kind-config", "nothing"], "kind configuration nothing")]
    fn bad_options_are_usage_errors(#[case] words: &[&str], #[case] said: &str) {
        let error = parse(words).check().unwrap_err();
        assert!(error.is::<Usage>(), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}
