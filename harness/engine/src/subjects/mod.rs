//! Subjects, chosen by name: what images they need and what charts they are installed from.

mod cilium;
mod file;
mod options;
mod standin;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cluster::{Components, Image};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DynamicObject, ListParams};
use model::Version;
use serde_json::Value;
use subject::Chart;

pub use options::{Choice, Playable, SubjectArgs, SubjectName};
pub use standin::Program as Standin;

use crate::bundle::Bundle;

/// What a subject is told about the cluster it goes to.
#[derive(Debug)]
pub struct Facts {
    pub helm: PathBuf,
    pub kubernetes: String,
    /// Address and port of the API server that need no service translation.
    pub api: (String, u16),
    /// Names and addresses of the nodes, in order of name.
    pub nodes: Vec<(String, String)>,
    /// Whether the cluster was made for this, and not there before.
    pub ours: bool,
}

impl Facts {
    /// Asks the API server.
    pub async fn read(
        client: &kube::Client,
        helm: PathBuf,
        kubernetes: &str,
        api: (String, u16),
        ours: bool,
    ) -> anyhow::Result<Self> {
        let nodes = Self::nodes(client).await?;
        Ok(Self { helm, kubernetes: kubernetes.to_owned(), api, nodes, ours })
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
pub struct Release {
    pub version: Version,
    pub chart: Chart,
    /// The agents' image.
    pub image: String,
    /// The values that the user gave for it; null where there are none.
    pub given: Value,
    /// Whether the guide names the hazards of its charts.
    pub documented: bool,
}

/// A subject of which everything is at hand.
#[derive(Debug)]
pub enum Prepared {
    Standin(standin::Prepared),
    Cilium(cilium::Prepared),
    File(file::Prepared),
}

/// Makes images and charts for the versions, in order; the first is the one that is installed.
pub async fn prepare(
    choice: &Choice,
    versions: &[Version],
    bundle: &Bundle,
    components: &Components,
    helm: &Path,
) -> anyhow::Result<Prepared> {
    Ok(match choice {
        Choice::Standin(program) => {
            Prepared::Standin(standin::Prepared::new(program, versions, bundle, components).await?)
        }
        Choice::Cilium(source) => {
            Prepared::Cilium(cilium::Prepared::new(source, versions, bundle, helm).await?)
        }
        Choice::File(source) => Prepared::File(file::Prepared::new(source.clone(), versions)),
    })
}

impl Prepared {
    /// Images that every node needs.
    pub fn images(&self) -> Vec<Image> {
        match self {
            Self::Standin(standin) => standin.images(),
            Self::Cilium(cilium) => cilium.images(),
            Self::File(_) => Vec::new(),
        }
    }

    /// Archives of images that every node needs.
    pub fn archives(&self) -> Vec<PathBuf> {
        match self {
            Self::Standin(_) => Vec::new(),
            Self::Cilium(cilium) => cilium.archives(),
            Self::File(file) => file.archives(),
        }
    }

    /// One release a version, in order.
    pub async fn releases(&self, facts: &Facts) -> anyhow::Result<Vec<Release>> {
        match self {
            Self::Standin(standin) => standin.releases(facts),
            Self::Cilium(cilium) => cilium.releases(facts).await,
            Self::File(file) => file.releases(facts).await,
        }
    }

    /// What must be in the cluster before the first version is installed.
    pub fn prerequisites(&self, facts: &Facts) -> anyhow::Result<Vec<DynamicObject>> {
        match self {
            Self::Standin(standin) => standin.prerequisites(facts),
            Self::Cilium(cilium) => Ok(cilium.prerequisites()),
            Self::File(_) => Ok(Vec::new()),
        }
    }
}
