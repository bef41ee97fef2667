//! Pods next to the agents, one on each of their nodes, that run a command of the agents' image until they are deleted.

use std::time::Duration;

use cluster::wait;
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use serde_json::json;

use super::Installation;
use super::error::{InstallationError, request};
use crate::names::Names;

/// Label of the pods: the name that they were started under.
const LABEL: &str = "seatrial.dev/beside";
const DEADLINE: Duration = Duration::from_secs(30);

impl Installation {
    /// Starts a command in a pod next to every agent, under a name, and waits until all run. It runs on while agents
    /// are replaced.
    ///
    /// # Errors
    /// When a pod cannot be created, or does not run.
    pub async fn start_beside(
        &self,
        name: &str,
        image: &str,
        command: &[String],
    ) -> Result<(), InstallationError> {
        let pods = self.pods();
        let nodes = self.agents().await?.into_iter().filter_map(|agent| agent.spec?.node_name);
        let created = try_join_all(nodes.map(async |node| {
            let what = format!("a pod next to the agent of node {node} could not be created");
            let pod = pod(&self.names, name, &node, image, command);
            pods.create(&PostParams::default(), &pod).await.map_err(request(what))
        }));
        let count = created.await?.len();
        let probe = async || {
            let found = list(&pods, name).await.map_err(|e| e.to_string())?;
            let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
            let running = found.iter().filter(|pod| phase(pod).as_deref() == Some("Running")).count();
            if running == count { Ok(()) } else { Err(format!("{running} of {count} run")) }
        };
        let condition = format!("the pods {name} next to the agents to run");
        Ok(wait::until(&condition, DEADLINE, Duration::from_millis(50), probe).await?)
    }

    /// Reads the output so far of what [`Self::start_beside`] started under a name: the node and the text of each pod.
    ///
    /// # Errors
    /// When nothing was started under the name, or a log cannot be read.
    pub async fn output_beside(&self, name: &str) -> Result<Vec<(String, String)>, InstallationError> {
        let (pods, namespace) = (self.pods(), &self.names.namespace);
        let found = found(&pods, name).await?;
        let outputs = try_join_all(found.into_iter().map(async |pod| {
            let (pod, node) =
                (pod.metadata.name.unwrap_or_default(), pod.spec.and_then(|spec| spec.node_name));
            let what = format!("the log of pod {namespace}/{pod} could not be read");
            let text = pods.logs(&pod, &LogParams::default()).await.map_err(request(what))?;
            Ok::<_, InstallationError>((node.unwrap_or_default(), text))
        }));
        let mut outputs = outputs.await?;
        outputs.sort();
        Ok(outputs)
    }

    /// Ends what [`Self::start_beside`] started under a name.
    ///
    /// # Errors
    /// When nothing was started under the name, or a pod cannot be deleted.
    pub async fn end_beside(&self, name: &str) -> Result<(), InstallationError> {
        let (pods, namespace) = (self.pods(), &self.names.namespace);
        for pod in found(&pods, name).await? {
            let pod = pod.metadata.name.unwrap_or_default();
            let what = format!("pod {namespace}/{pod} could not be deleted");
            pods.delete(&pod, &DeleteParams::default().grace_period(0)).await.map_err(request(what))?;
        }
        Ok(())
    }
}

async fn found(pods: &Api<Pod>, name: &str) -> Result<Vec<Pod>, InstallationError> {
    let found = list(pods, name).await.map_err(request(format!("the pods {name} could not be listed")))?;
    if found.is_empty() { Err(InstallationError::NoPods(name.to_owned())) } else { Ok(found) }
}

async fn list(pods: &Api<Pod>, name: &str) -> Result<Vec<Pod>, kube::Error> {
    Ok(pods.list(&ListParams::default().labels(&format!("{LABEL}={name}"))).await?.items)
}

fn pod(names: &Names, name: &str, node: &str, image: &str, command: &[String]) -> Pod {
    let mut container =
        json!({"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": command});
    let mut volumes = json!([]);
    if let Some(sockets) = &names.sockets {
        container["volumeMounts"] = json!([{"name": "sockets", "mountPath": sockets}]);
        volumes = json!([{"name": "sockets", "hostPath": {"path": sockets}}]);
    }
    let pod = json!({
        "metadata": {"generateName": format!("{name}-"), "namespace": names.namespace, "labels": {LABEL: name}},
        "spec": {
            "nodeName": node,
            "hostNetwork": true,
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
            "volumes": volumes,
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
        let names = Names::sample();
        let made = pod(&names, "monitor", "node1", "image", &["bird".to_owned(), "monitor".to_owned()]);
        assert_eq!(names.role(&made), None);
        let spec = made.spec.unwrap();
        assert_eq!(
            (spec.node_name.as_deref(), spec.restart_policy.as_deref()),
            (Some("node1"), Some("Never"))
        );
        assert_eq!(spec.containers[0].volume_mounts.as_ref().unwrap()[0].mount_path, "/var/run/bird");
    }
}
