//! What a subject has to know about its cluster.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use crate::error::PrepareError;

/// The cluster that a subject is installed on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The program helm.
    pub helm: PathBuf,
    /// Version of Kubernetes, such as `v1.34.4`.
    pub kubernetes: String,
    /// Address and port of the API server that need no translation of Services.
    pub api: (String, u16),
    /// Names and addresses of the nodes, by name.
    pub nodes: Vec<(String, String)>,
    /// Whether the cluster was made for this run.
    pub made: bool,
}

impl Facts {
    /// Reads the nodes of a cluster.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn read(
        client: &kube::Client,
        helm: PathBuf,
        kubernetes: &str,
        api: (String, u16),
        made: bool,
    ) -> Result<Self, PrepareError> {
        let nodes: Api<Node> = Api::all(client.clone());
        let listed = nodes.list(&ListParams::default()).await;
        let listed = listed.map_err(|e| PrepareError::Nodes(Box::new(e)))?;
        let mut nodes: Vec<_> = listed.into_iter().filter_map(address).collect();
        nodes.sort();
        Ok(Self { helm, kubernetes: kubernetes.to_owned(), api, nodes, made })
    }
}

fn address(node: Node) -> Option<(String, String)> {
    let addresses = node.status?.addresses?;
    let address = addresses.into_iter().find(|address| address.type_ == "InternalIP")?.address;
    Some((node.metadata.name?, address))
}
