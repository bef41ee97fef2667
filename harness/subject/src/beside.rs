//! Pods beside the agents, one a node, that run a command of the agents' image for as long as they are let.

use std::time::Duration;

use cluster::wait::{self, Timeout};
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use serde_json::json;

use crate::{DAEMONSET, NAMESPACE};

/// Label of the pods: the name that they were started under.
const LABEL: &str = "seatrial.dev/beside";
/// Where the agents' sockets are, on the node and in the pods alike.
const SOCKETS: &str = "/var/run/cilium";
const DEADLINE: Duration = Duration::from_secs(30);

/// Pods that could not be made, or not be heard.
#[derive(Debug, thiserror::Error)]
pub enum BesideError {
    /// The API server refused.
    #[error("{what}")]
    Api {
        /// What was being done.
        what: String,
        /// Its answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// They did not start.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// Nothing was started under this name.
    #[error("no pod runs under the name {0}")]
    Nobody(String),
}

/// Starts a pod on every node that has an agent, and waits until all run.
pub(crate) async fn start(
    client: &kube::Client,
    name: &str,
    image: &str,
    command: &[String],
) -> Result<(), BesideError> {
    let pods = pods(client);
    let agents = ListParams::default().labels(&format!("k8s-app={DAEMONSET}"));
    let agents = pods.list(&agents).await.map_err(api("the agents' pods could not be listed"))?;
    let nodes = agents.into_iter().filter_map(|agent| agent.spec?.node_name);
    let made = try_join_all(nodes.map(async |node| {
        let what = format!("a pod beside the agent of node {node} could not be made");
        pods.create(&PostParams::default(), &pod(name, &node, image, command)).await.map_err(api(what))
    }));
    let count = made.await?.len();
    let probe = async || {
        let found = list(&pods, name).await.map_err(|e| e.to_string())?;
        let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
        let running = found.iter().filter(|pod| phase(pod).as_deref() == Some("Running")).count();
        if running == count { Ok(()) } else { Err(format!("{running} of {count} run")) }
    };
    let condition = format!("the pods {name} beside the agents to run");
    Ok(wait::until(&condition, DEADLINE, Duration::from_millis(50), probe).await?)
}

/// Reads what each of the pods has said so far, by node; in order of the nodes.
pub(crate) async fn said(client: &kube::Client, name: &str) -> Result<Vec<(String, String)>, BesideError> {
    let pods = pods(client);
    let found = found(&pods, name).await?;
    let heard = try_join_all(found.into_iter().map(async |pod| {
        let (pod, node) = (pod.metadata.name.unwrap_or_default(), pod.spec.and_then(|spec| spec.node_name));
        let what = format!("the log of pod {NAMESPACE}/{pod} could not be read");
        let text = pods.logs(&pod, &LogParams::default()).await.map_err(api(what))?;
        Ok::<_, BesideError>((node.unwrap_or_default(), text))
    }));
    let mut heard = heard.await?;
    heard.sort();
    Ok(heard)
}

/// Deletes the pods.
pub(crate) async fn end(client: &kube::Client, name: &str) -> Result<(), BesideError> {
    let pods = pods(client);
    for pod in found(&pods, name).await? {
        let pod = pod.metadata.name.unwrap_or_default();
        let what = format!("pod {NAMESPACE}/{pod} could not be deleted");
        pods.delete(&pod, &DeleteParams::default().grace_period(0)).await.map_err(api(what))?;
    }
    Ok(())
}

async fn found(pods: &Api<Pod>, name: &str) -> Result<Vec<Pod>, BesideError> {
    let found = list(pods, name).await.map_err(api(format!("the pods {name} could not be listed")))?;
    if found.is_empty() { Err(BesideError::Nobody(name.to_owned())) } else { Ok(found) }
}

fn pods(client: &kube::Client) -> Api<Pod> {
    Api::namespaced(client.clone(), NAMESPACE)
}

async fn list(pods: &Api<Pod>, name: &str) -> Result<Vec<Pod>, kube::Error> {
    Ok(pods.list(&ListParams::default().labels(&format!("{LABEL}={name}"))).await?.items)
}

fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> BesideError {
    let what = what.into();
    move |source| BesideError::Api { what, source: Box::new(source) }
}

fn pod(name: &str, node: &str, image: &str, command: &[String]) -> Pod {
    let pod = json!({
        "metadata": {"generateName": format!("{name}-"), "namespace": NAMESPACE, "labels": {LABEL: name}},
        "spec": {
            "nodeName": node,
            "hostNetwork": true,
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": command,
                "volumeMounts": [{"name": "sockets", "mountPath": SOCKETS}],
            }],
            "volumes": [{"name": "sockets", "hostPath": {"path": SOCKETS}}],
        },
    });
    match serde_json::from_value(pod) {
        Ok(pod) => pod,
        Err(e) => unreachable!("a literal pod is one: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_its_nodes_sockets_and_is_no_agent() {
        let made = pod("monitor", "node1", "image", &["cilium".to_owned(), "monitor".to_owned()]);
        assert_eq!(crate::Names::cilium().role(&made), None);
        let spec = made.spec.unwrap();
        assert_eq!(
            (spec.node_name.as_deref(), spec.restart_policy.as_deref()),
            (Some("node1"), Some("Never"))
        );
        assert_eq!(spec.containers[0].volume_mounts.as_ref().unwrap()[0].mount_path, "/var/run/cilium");
    }
}
