//! The metrics of the agents.

use futures_util::future::try_join_all;

use super::Installation;
use super::error::{InstallationError, request};

impl Installation {
    /// Reads the metrics that every agent serves on `port`, through the API server: the node and the text of each, in
    /// order of the nodes.
    ///
    /// # Errors
    /// When an agent does not answer.
    pub async fn metrics(&self, port: u16) -> Result<Vec<(String, String)>, InstallationError> {
        let namespace = &self.names.namespace;
        let reads = self.agents().await?.into_iter().map(async |agent| {
            let pod = agent.metadata.name.unwrap_or_default();
            let node = agent.spec.and_then(|spec| spec.node_name).unwrap_or_default();
            let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics");
            let what = format!(
                "port {port} of pod {namespace}/{pod} does not serve metrics; enable them in the agents' configuration"
            );
            let text = read(&self.client, &path).await.map_err(request(what))?;
            Ok::<_, InstallationError>((node, text))
        });
        let mut read = try_join_all(reads).await?;
        read.sort();
        Ok(read)
    }
}

async fn read(client: &kube::Client, path: &str) -> Result<String, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}
