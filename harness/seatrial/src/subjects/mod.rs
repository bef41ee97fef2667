//! Subjects, chosen by name: what images they need and what charts they are installed from.

mod standin;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use cluster::{Components, Image};
use guide::Version;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DynamicObject, ListParams};
use subject::Chart;

use crate::bundle::Bundle;
use crate::exit::Usage;

/// What can be upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SubjectName {
    /// Our own small agent that plays Cilium 1.0 to 1.6; needs no image registry.
    Standin,
}

impl SubjectName {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Standin => "standin",
        }
    }

    /// Whether it can run a version.
    pub(crate) fn supports(self, version: &Version) -> Result<(), Usage> {
        match self {
            Self::Standin => standin::supports(version),
        }
    }
}

/// What a subject is told about the cluster it goes to.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) helm: PathBuf,
    pub(crate) kubernetes: String,
    /// Address and port of the API server that need no service translation.
    pub(crate) api: (String, u16),
    /// Names and addresses of the nodes, in order of name.
    pub(crate) nodes: Vec<(String, String)>,
}

impl Facts {
    /// Asks the API server.
    pub(crate) async fn read(
        client: &kube::Client,
        helm: PathBuf,
        kubernetes: &str,
        api: (String, u16),
    ) -> anyhow::Result<Self> {
        let nodes = Self::nodes(client).await?;
        Ok(Self { helm, kubernetes: kubernetes.to_owned(), api, nodes })
    }

    async fn nodes(client: &kube::Client) -> anyhow::Result<Vec<(String, String)>> {
        let api: Api<Node> = Api::all(client.clone());
        let list = api.list(&ListParams::default()).await.context("the nodes could not be listed")?;
        let mut nodes: Vec<_> = list
            .into_iter()
            .filter_map(|node| {
                let addresses = node.status?.addresses?;
                let address = addresses.into_iter().find(|a| a.type_ == "InternalIP")?.address;
                Some((node.metadata.name?, address))
            })
            .collect();
        nodes.sort();
        Ok(nodes)
    }
}

/// A version, ready to be installed.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) version: Version,
    pub(crate) chart: Chart,
    /// The agents' image.
    pub(crate) image: String,
}

/// A subject of which everything is at hand.
#[derive(Debug)]
pub(crate) enum Prepared {
    Standin(standin::Prepared),
}

/// Makes images and charts for the versions, in order.
pub(crate) async fn prepare(
    name: SubjectName,
    versions: &[Version],
    bundle: &Bundle,
    components: &Components,
) -> anyhow::Result<Prepared> {
    match name {
        SubjectName::Standin => {
            Ok(Prepared::Standin(standin::Prepared::new(versions, bundle, components).await?))
        }
    }
}

impl Prepared {
    /// Images that every node needs.
    pub(crate) fn images(&self) -> Vec<Image> {
        match self {
            Self::Standin(standin) => standin.images(),
        }
    }

    /// One release a version, in order.
    pub(crate) fn releases(&self, facts: &Facts) -> anyhow::Result<Vec<Release>> {
        match self {
            Self::Standin(standin) => standin.releases(facts),
        }
    }

    /// What must be in the cluster before the first version is installed.
    pub(crate) fn prerequisites(&self, facts: &Facts) -> Vec<DynamicObject> {
        match self {
            Self::Standin(standin) => standin.prerequisites(facts),
        }
    }
}
