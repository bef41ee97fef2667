//! Clients of API servers, and waits for the nodes of a cluster.

mod deadline;

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::{Api, ListParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};

use self::deadline::RequestDeadline;
use crate::wait::{self, Timeout};

/// How long the API server may take to respond to a request that is not a stream.
const RESPONSE: Duration = Duration::from_secs(30);

/// A kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the kubeconfig {} cannot be used", path.display())]
pub struct ClientError {
    path: PathBuf,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl ClientError {
    pub(crate) fn new(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { path: path.to_owned(), source: Box::new(source) }
    }
}

/// A client for the cluster of a kubeconfig. It does not repeat requests, and gives up on one without a response after 30 s;
/// watches and other streams have no limit.
///
/// # Errors
/// When the file cannot be read or does not describe a cluster.
pub async fn client(kubeconfig: &Path) -> Result<kube::Client, ClientError> {
    let file = Kubeconfig::read_from(kubeconfig).map_err(|e| ClientError::new(kubeconfig, e))?;
    Ok(connect(kubeconfig, file, KubeConfigOptions::default()).await?.0)
}

/// A client for one context of a kubeconfig, which must exist and be the only one of its name, and the address of its
/// server.
pub(crate) async fn client_of(
    kubeconfig: &Path,
    context: &str,
) -> Result<(kube::Client, String), ClientError> {
    let file = Kubeconfig::read_from(kubeconfig).map_err(|e| ClientError::new(kubeconfig, e))?;
    let known: Vec<_> = file.contexts.iter().map(|known| known.name.as_str()).collect();
    let message = match known.iter().filter(|known| **known == context).count() {
        1 => None,
        0 => Some(format!("there is no context {context:?}; the contexts are {}", known.join(", "))),
        count => Some(format!(
            "the context {context} is defined {count} times; give each context a name of its own"
        )),
    };
    if let Some(message) = message {
        return Err(ClientError::new(kubeconfig, std::io::Error::other(message)));
    }
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    connect(kubeconfig, file, options).await
}

async fn connect(
    kubeconfig: &Path,
    file: Kubeconfig,
    options: KubeConfigOptions,
) -> Result<(kube::Client, String), ClientError> {
    let config = kube::Config::from_custom_kubeconfig(file, &options).await;
    let mut config = config.map_err(|e| ClientError::new(kubeconfig, e))?;
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let builder = ClientBuilder::try_from(config).map_err(|e| ClientError::new(kubeconfig, e))?;
    Ok((builder.with_layer(&RequestDeadline(RESPONSE)).build(), server))
}

/// Waits until `count` nodes have registered with the API server.
///
/// # Errors
/// When the deadline passes first.
pub async fn nodes_registered(
    client: &kube::Client,
    count: usize,
    deadline: Duration,
) -> Result<(), Timeout> {
    let condition = format!("{count} nodes to register");
    nodes(client, &condition, count, deadline, |_| true).await
}

/// Waits until pods can be created in a namespace, which needs its default service account.
///
/// # Errors
/// When the deadline passes first.
pub async fn namespace_ready(
    client: &kube::Client,
    namespace: &str,
    deadline: Duration,
) -> Result<(), Timeout> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let probe = async || match api.get_opt("default").await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("it does not exist; the controller manager creates it".to_owned()),
        Err(e) => Err(e.to_string()),
    };
    let condition = format!("the service account {namespace}/default");
    wait::until(&condition, deadline, Duration::from_millis(20), probe).await
}

/// Waits until `count` nodes are Ready.
///
/// # Errors
/// When the deadline passes first.
pub async fn nodes_ready(client: &kube::Client, count: usize, deadline: Duration) -> Result<(), Timeout> {
    nodes(client, &format!("{count} nodes to be Ready"), count, deadline, ready).await
}

async fn nodes(
    client: &kube::Client,
    condition: &str,
    count: usize,
    deadline: Duration,
    counts: impl Fn(&Node) -> bool,
) -> Result<(), Timeout> {
    let api: Api<Node> = Api::all(client.clone());
    let probe = async || {
        let nodes = api.list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        if nodes.iter().filter(|node| counts(node)).count() >= count {
            return Ok(());
        }
        Err(nodes.iter().map(describe).collect::<Vec<_>>().join("; "))
    };
    wait::until(condition, deadline, Duration::from_millis(20), probe).await
}

fn ready(node: &Node) -> bool {
    conditions(node).any(|(kind, status, _)| kind == "Ready" && status == "True")
}

fn conditions(node: &Node) -> impl Iterator<Item = (&str, &str, &str)> {
    node.status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten())
        .map(|c| (c.type_.as_str(), c.status.as_str(), c.message.as_deref().unwrap_or_default()))
}

fn describe(node: &Node) -> String {
    let name = node.metadata.name.as_deref().unwrap_or("a node without a name");
    match conditions(node).find(|(kind, ..)| *kind == "Ready") {
        Some((_, "True", _)) => format!("{name} is Ready"),
        Some((_, _, message)) => format!("{name} is not Ready: {message}"),
        None => format!("{name} has no Ready condition yet"),
    }
}
