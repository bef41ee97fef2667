//! Existing clusters: always named by the user, and checked before anything is created in them.

mod found;
mod rights;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::existing::{Access, ExistingProvider, Target as ClusterTarget};
use guide::ConfigMap;
use probe::deploy::{ServiceName, Target};
use probe::flow::Token;
use probe::traffic::{Settings, Traffic};
use subject::{Installation, cilium};

use crate::errors;
use crate::exit::Usage;
use crate::run::procedure::Procedure;
use crate::steps::StepAction as _;
pub use found::Found;

pub use rights::manifest;

/// How long the API server may take for a change.
pub(crate) const CHANGE: Duration = Duration::from_secs(60);

/// The options that name an existing cluster, and what probes need in it.
#[derive(Clone, Debug, Default)]
pub struct ExistingOptions {
    /// Context of the kubeconfig. There is no default, so that no cluster is used by mistake.
    pub context: Option<String>,
    /// Image of the probes.
    pub image: Option<String>,
    /// Kubeconfig; the default is `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// Service of the cluster DNS; the default is `kube-system/kube-dns`.
    pub dns: Option<ServiceName>,
}

impl ExistingOptions {
    /// Context and image.
    ///
    /// # Errors
    /// When one of them was not given.
    pub fn both(&self) -> Result<(&str, &str), Usage> {
        match (&self.context, &self.image) {
            (Some(context), Some(image)) => Ok((context, image)),
            (None, _) => Err(Usage("name the cluster with --context; there is no default".to_owned())),
            (_, None) => {
                let remedy = "`seatrial image` writes it";
                Err(Usage(format!("name the image of the probes with --image; {remedy}")))
            }
        }
    }

    fn dns(&self) -> ServiceName {
        let usual = || ServiceName { namespace: "kube-system".to_owned(), name: "kube-dns".to_owned() };
        self.dns.clone().unwrap_or_else(usual)
    }

    fn kubeconfig(&self) -> anyhow::Result<PathBuf> {
        let home = || std::env::home_dir().map(|home| home.join(".kube/config"));
        let path = self
            .kubeconfig
            .clone()
            .or_else(home)
            .context("there is no home folder; name the kubeconfig with --kubeconfig")?;
        // The ledger entry must be valid in every folder.
        std::path::absolute(&path).context("the current folder cannot be read")
    }
}

/// What a run does to an existing cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is measured.
    Watch,
    /// Its agents are upgraded and measured.
    Upgrade,
}

/// An existing cluster, as it was found for one run.
#[derive(Clone)]
pub struct ExistingCluster {
    /// How it is reached, and the namespace of the run in it.
    pub access: Access,
    /// The client that checked it. The run uses the same one.
    pub client: kube::Client,
    /// The address of its API server.
    pub server: String,
    /// Image of the probes.
    pub image: String,
    /// The Service of its DNS.
    pub dns: ServiceName,
    /// What was found in it.
    pub found: Found,
    /// The image of its agents; `None` where it has none.
    pub agents: Option<String>,
}

impl std::fmt::Debug for ExistingCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExistingCluster").field("access", &self.access).finish_non_exhaustive()
    }
}

impl ExistingCluster {
    /// Reads what the cluster is and what this user may do in it; changes nothing. At most `nodes` nodes get probes.
    ///
    /// # Errors
    /// When the options are incomplete, the cluster cannot be reached, or it does not allow what `purpose` needs.
    pub async fn find(
        options: &ExistingOptions,
        id: &str,
        nodes: u8,
        purpose: Purpose,
    ) -> anyhow::Result<Self> {
        let (context, image) = options.both()?;
        let access = Access {
            kubeconfig: options.kubeconfig()?,
            context: context.to_owned(),
            namespace: format!("seatrial-{id}"),
            upgrades: purpose == Purpose::Upgrade,
        };
        let (client, server) = access.connect().await.map_err(|e| Usage(errors::line(&e.into())))?;
        let found = Found::find(&client, nodes.into(), purpose).await?;
        let agents = agents(&client).await;
        Ok(Self { access, client, server, image: image.to_owned(), dns: options.dns(), found, agents })
    }

    /// The provider of this cluster.
    pub fn provider(&self) -> Arc<dyn cluster::Provider> {
        let Access { kubeconfig, context, upgrades, .. } = self.access.clone();
        let (nodes, api) = (self.found.nodes.clone(), self.found.api.clone());
        Arc::new(ExistingProvider {
            kubeconfig,
            context,
            upgrades,
            target: Some(ClusterTarget { client: self.client.clone(), nodes, api }),
        })
    }

    /// The ConfigMap of its agents.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn config(&self) -> anyhow::Result<ConfigMap> {
        let text = installation(&self.client).config_map().await?;
        ConfigMap::read(&text).context("the cluster's ConfigMap cannot be read")
    }

    /// The namespace, image and DNS Service of its probes.
    ///
    /// `planned` is how long the run takes at most, after which probers that a killed run left end by themselves.
    pub fn target(&self, id: &str, planned: Duration) -> Target {
        Target {
            namespace: self.access.namespace.clone(),
            run_id: id.to_owned(),
            image: self.image.clone(),
            dns: self.dns.clone(),
            token: Token::random(),
            lifetime: Some(planned),
        }
    }

    /// The standard traffic, as far as the cluster can have it.
    pub fn traffic(&self, settings: &Settings) -> Traffic {
        let standard = Traffic::standard(&self.found.nodes, false, settings);
        if self.found.policies { standard } else { standard.without_policies() }
    }

    /// Why some of the standard traffic is not possible; `None` where all of it is.
    pub fn missing_traffic(&self) -> Option<&'static str> {
        let why = "the cluster has no CiliumNetworkPolicy: no flow is tried that a policy must block";
        (!self.found.policies).then_some(why)
    }

    /// Checks that the cluster runs the version that the procedure starts from, and that the procedure changes only agents,
    /// their objects, and what the run creates itself.
    ///
    /// # Errors
    /// When one of them is not so.
    pub fn check_procedure(&self, procedure: &Procedure) -> Result<(), Usage> {
        let context = &self.access.context;
        let running = self.agents.as_deref().and_then(version);
        let first = &procedure.first;
        if running.and_then(|tag| tag.parse().ok()) != Some(first.clone()) {
            let runs =
                running.map_or_else(|| "no agents of Cilium".to_owned(), |tag| format!("Cilium {tag}"));
            return Err(Usage(format!("the cluster of context {context} runs {runs}, and not {first}")));
        }
        match procedure.steps.iter().find(|step| !step.action.suits_existing_clusters()) {
            Some(step) => Err(Usage(format!(
                "step \"{}\" would change more of {context} than its agents: run it on a new cluster",
                step.name
            ))),
            None => Ok(()),
        }
    }
}

/// The image of the agents; `None` if there are none.
pub async fn agents(client: &kube::Client) -> Option<String> {
    installation(client).agent_image().await.ok()
}

/// Cilium on the cluster.
fn installation(client: &kube::Client) -> Installation {
    Installation::new(client.clone(), cilium::names(), CHANGE)
}

/// The version in the name of an image: its tag.
pub fn version(image: &str) -> Option<&str> {
    Some(image.split('@').next()?.rsplit_once(':')?.1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::tag("docker.io/cilium/cilium:v1.6.12", Some("v1.6.12"))]
    #[case::digest_behind_it("quay.io/cilium/cilium:v1.16.1@sha256:0b4a", Some("v1.16.1"))]
    #[case::port_of_a_registry("registry:5000/cilium:v1.5.13", Some("v1.5.13"))]
    #[case::none("cilium", None)]
    fn the_tag_is_the_version(#[case] image: &str, #[case] expected: Option<&str>) {
        assert_eq!(version(image), expected);
    }
}
