//! The pre-flight DaemonSet: created, used once it is ready, and deleted.

use std::time::Duration;

use cluster::wait::{self, Timeout};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};

use super::names::{DAEMON_SET, PREFLIGHT, PREFLIGHT_PREFIX};
use crate::RUN_LABEL;
use crate::daemonset::{self, Installation, InstallationError, request};
use crate::source::{Chart, Parts};

const EVERY: Duration = Duration::from_millis(50);

impl Installation {
    /// Runs the pre-flight DaemonSet of a version until as many of its pods are ready as there are agents, and
    /// deletes it again. The agents are not touched. A version whose chart has none is skipped.
    ///
    /// # Errors
    /// When it does not become ready, for example because the image cannot be pulled.
    pub async fn preflight(&self, chart: &Chart) -> Result<String, InstallationError> {
        let ready = self.with_preflight(chart, async |ready| Ok(ready)).await?;
        Ok(ready.unwrap_or_else(|| "this version has no pre-flight check".to_owned()))
    }

    /// Does `work` while the pre-flight DaemonSet is ready; nothing if the chart has none.
    pub(crate) async fn with_preflight<T>(
        &self,
        chart: &Chart,
        work: impl AsyncFnOnce(String) -> Result<T, InstallationError>,
    ) -> Result<Option<T>, InstallationError> {
        let mut objects = chart.render(Parts::Preflight).await?;
        for object in &mut objects {
            let run = self.run.iter().map(|id| (RUN_LABEL.to_owned(), id.clone()));
            object.metadata.labels.get_or_insert_default().extend(run);
        }
        if objects.is_empty() {
            return Ok(None);
        }
        // From 1.17 on it comes with a namespace that the agents use as well: an existing one must not be deleted.
        let objects =
            daemonset::create(&self.client, &self.names.namespace, &objects, PREFLIGHT_PREFIX).await?;
        let done = match self.preflight_ready().await {
            Ok(ready) => work(ready).await,
            Err(e) => Err(e.into()),
        };
        // It is deleted even if it was not ready: the next step must find the cluster as it was.
        let deleted = daemonset::delete(&self.client, &self.names.namespace, &objects).await;
        let done = done?;
        deleted?;
        self.preflight_gone(&objects).await?;
        Ok(Some(done))
    }

    async fn preflight_ready(&self) -> Result<String, Timeout> {
        let api = self.daemon_sets();
        let probe = async || {
            let (agents, preflight) =
                (api.get(DAEMON_SET).await.map_err(|e| e.to_string())?, api.get(PREFLIGHT).await);
            let ready = |daemon_set: &DaemonSet| daemon_set.status.as_ref().map_or(0, |s| s.number_ready);
            let preflight = preflight.map_err(|e| e.to_string())?;
            let (agents, preflight) = (ready(&agents), ready(&preflight));
            let state = format!("READY is {preflight} for {PREFLIGHT} and {agents} for {DAEMON_SET}");
            if agents > 0 && agents == preflight { Ok(state) } else { Err(state) }
        };
        let condition = "the pre-flight check to be READY on as many nodes as the agents";
        let mut waited = wait::until(condition, self.deadline, EVERY, probe).await;
        if let Err(timeout) = &mut waited {
            daemonset::add_unready(timeout, &api, PREFLIGHT).await;
        }
        waited
    }

    async fn preflight_gone(&self, objects: &[DynamicObject]) -> Result<(), Timeout> {
        let probe = async || match daemonset::remaining(&self.client, &self.names.namespace, objects).await {
            Ok(None) => Ok(()),
            Ok(Some(object)) => Err(format!("{object} still exists")),
            Err(e) => Err(e.to_string()),
        };
        wait::until("the pre-flight check to be deleted", self.deadline, EVERY, probe).await
    }

    /// Runs a command in one pod of the pre-flight DaemonSet, as `kubectl exec` does, and returns its output.
    pub(crate) async fn exec_in_preflight(&self, command: &[&str]) -> Result<String, InstallationError> {
        let api = self.pods();
        let of_check = ListParams::default().labels(&format!("k8s-app={PREFLIGHT}"));
        let pods = api.list(&of_check).await.map_err(request("the pre-flight pods could not be listed"))?;
        // Pods of an earlier check may still be terminating.
        let pod = pods.items.into_iter().find(stays).unwrap_or_default();
        let words: Vec<String> = command.iter().map(ToString::to_string).collect();
        let ended = daemonset::exec_in_pod(&api, pod, PREFLIGHT, &words, None).await?;
        match ended.code {
            0 => Ok(ended.output),
            _ => {
                let last = ended.output.lines().last().unwrap_or("it printed nothing").to_owned();
                Err(InstallationError::Command { command: words.join(" "), output: last })
            }
        }
    }
}

/// Whether a pod is ready and not being deleted.
fn stays(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.filter(|c| c.type_ == "Ready" && c.status == "True").count() > 0;
    ready && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::ready(json!({}), "True", true)]
    #[case::not_yet(json!({}), "False", false)]
    #[case::terminating(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), "True", false)]
    fn commands_run_in_a_pod_that_stays(
        #[case] metadata: Value,
        #[case] ready: &str,
        #[case] expected: bool,
    ) {
        let status = json!({"conditions": [{"type": "Ready", "status": ready}]});
        let pod: Pod = serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap();
        assert_eq!(stays(&pod), expected);
    }
}
