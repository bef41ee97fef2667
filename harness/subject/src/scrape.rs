//! What the agents' metrics endpoints say.

use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use crate::{DAEMONSET, NAMESPACE};

/// An endpoint that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The agents could not be listed.
    #[error("the agents' pods could not be listed")]
    List(#[source] Box<kube::Error>),
    /// No answer through the API server.
    #[error("port {port} of pod {NAMESPACE}/{pod} does not serve metrics; set prometheus-serve-addr")]
    Read {
        /// The agent's pod.
        pod: String,
        /// The port.
        port: u16,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Reads the metrics of every agent through the API server: the node's name, and the text; in order of the nodes.
pub(crate) async fn everywhere(
    client: &kube::Client,
    port: u16,
) -> Result<Vec<(String, String)>, ScrapeError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let agents = ListParams::default().labels(&format!("k8s-app={DAEMONSET}"));
    let agents = pods.list(&agents).await.map_err(|e| ScrapeError::List(Box::new(e)))?;
    let reads = agents.into_iter().map(async |agent| {
        let pod = agent.metadata.name.unwrap_or_default();
        let node = agent.spec.and_then(|spec| spec.node_name).unwrap_or_default();
        match read(client, &pod, port).await {
            Ok(text) => Ok((node, text)),
            Err(e) => Err(ScrapeError::Read { pod, port, source: Box::new(e) }),
        }
    });
    let mut read = try_join_all(reads).await?;
    read.sort();
    Ok(read)
}

async fn read(client: &kube::Client, pod: &str, port: u16) -> Result<String, kube::Error> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{port}/proxy/metrics");
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}
