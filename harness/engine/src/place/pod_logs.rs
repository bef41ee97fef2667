//! The logs of the subject's pods, saved in the run folder without secrets.

use std::path::Path;

use anyhow::Context as _;
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, LogParams};

use crate::redact::redact;

/// Writes one file a container of a namespace.
pub(crate) async fn save(client: &kube::Client, namespace: &str, folder: &Path) -> anyhow::Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = api.list(&ListParams::default()).await.context("the pods could not be listed")?;
    let folder = folder.join("pods");
    std::fs::create_dir_all(&folder).with_context(|| format!("{} could not be made", folder.display()))?;
    let one = async |pod: &Pod, container: &str| {
        let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        let text = match api.logs(&pod.name_any(), &params).await {
            Ok(text) => text,
            // A container that never ran has no log; that is worth a line where one would look for it.
            Err(e) => format!("(no log: {})\n", crate::errors::line(&e.into())),
        };
        let path = folder.join(format!("{}-{container}.log", pod.name_any()));
        std::fs::write(&path, redact(&text))
            .with_context(|| format!("{} could not be written", path.display()))
    };
    let all = pods.iter().flat_map(|pod| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        containers.map(move |container| (pod, container.name.as_str()))
    });
    join_all(all.map(|(pod, container)| one(pod, container))).await.into_iter().collect()
}
