//! Waiting for a rollout, as `kubectl rollout status` does.

use std::time::Duration;

use cluster::wait::{self, Timeout};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};

use super::pod;

const EVERY: Duration = Duration::from_millis(50);

/// The progress of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    Going(String),
}

/// Waits until every pod of a DaemonSet has the current template and is available.
pub(crate) async fn daemon_set(api: &Api<DaemonSet>, name: &str, deadline: Duration) -> Result<(), Timeout> {
    let probe = async || {
        let found = api.get(name).await.map_err(|e| e.to_string())?;
        match daemon_set_progress(&found) {
            Progress::Done => Ok(()),
            Progress::Going(state) => Err(state),
        }
    };
    let mut waited = wait::until(&format!("the rollout of DaemonSet {name}"), deadline, EVERY, probe).await;
    if let Err(timeout) = &mut waited {
        add_unready(timeout, api, name).await;
    }
    waited
}

/// Adds the state of each unready pod of a DaemonSet to the last observed state.
pub(crate) async fn add_unready(timeout: &mut Timeout, api: &Api<DaemonSet>, name: &str) {
    timeout.last.extend(Box::pin(unready(api, name)).await.into_iter().map(|pod| format!("; {pod}")));
}

/// The state of each unready pod of a DaemonSet; empty if the API server does not answer.
async fn unready(api: &Api<DaemonSet>, name: &str) -> Vec<String> {
    let Ok(found) = api.get(name).await else { return Vec::new() };
    let labels = found.spec.and_then(|spec| spec.selector.match_labels).unwrap_or_default();
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let namespace = found.metadata.namespace.unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(api.clone().into_client(), &namespace);
    let Ok(listed) = pods.list(&ListParams::default().labels(&labels.join(","))).await else {
        return Vec::new();
    };
    let mut unready = Vec::new();
    for found in listed.iter().filter(|found| !pod::is_ready(found)) {
        let name = found.metadata.name.as_deref().unwrap_or_default();
        let log = match pod::container_with_log(found) {
            Some(container) => last_line(&pods, name, container).await,
            None => String::new(),
        };
        unready.push(format!("{name} {}{log}", pod::state(found)));
    }
    unready
}

/// The last line of a container's log, as a suffix of a state.
async fn last_line(pods: &Api<Pod>, name: &str, container: &str) -> String {
    let container = Some(container.to_owned());
    let last = LogParams { container, tail_lines: Some(1), ..LogParams::default() };
    match pods.logs(name, &last).await {
        Ok(line) if !line.trim().is_empty() => format!(", last log line: {}", line.trim()),
        // A log that is empty or cannot be read adds nothing.
        Ok(_) | Err(_) => String::new(),
    }
}

/// Waits until a Deployment has its current template everywhere and is available.
pub(crate) async fn deployment(api: &Api<Deployment>, name: &str, deadline: Duration) -> Result<(), Timeout> {
    let probe = async || {
        let found = api.get(name).await.map_err(|e| e.to_string())?;
        match deployment_progress(&found) {
            Progress::Done => Ok(()),
            Progress::Going(state) => Err(state),
        }
    };
    wait::until(&format!("the rollout of Deployment {name}"), deadline, EVERY, probe).await
}

pub(crate) fn daemon_set_progress(daemon_set: &DaemonSet) -> Progress {
    let Some(status) = &daemon_set.status else { return Progress::Going("it has no status yet".to_owned()) };
    let generation = daemon_set.metadata.generation.unwrap_or_default();
    if status.observed_generation.unwrap_or_default() < generation {
        return Progress::Going("the controller has not observed the change yet".to_owned());
    }
    let desired = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or_default();
    let available = status.number_available.unwrap_or_default();
    if desired > 0 && updated >= desired && available >= desired {
        return Progress::Done;
    }
    Progress::Going(format!("{updated} of {desired} pods updated, {available} available"))
}

fn deployment_progress(deployment: &Deployment) -> Progress {
    let Some(status) = &deployment.status else { return Progress::Going("it has no status yet".to_owned()) };
    let generation = deployment.metadata.generation.unwrap_or_default();
    if status.observed_generation.unwrap_or_default() < generation {
        return Progress::Going("the controller has not observed the change yet".to_owned());
    }
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or_default();
    let available = status.available_replicas.unwrap_or_default();
    let all = status.replicas.unwrap_or_default();
    if updated >= wanted && available >= wanted && all <= updated {
        return Progress::Done;
    }
    Progress::Going(format!("{updated} of {wanted} replicas updated, {available} available, {all} in all"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::DaemonSetStatus;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::not_seen(1, 2, 2, 2, false)]
    #[case::half_updated(2, 2, 1, 2, false)]
    #[case::one_down(2, 2, 2, 1, false)]
    #[case::done(2, 2, 2, 2, true)]
    #[case::no_nodes(2, 0, 0, 0, false)]
    fn rollout_is_done_only_when_all_are_updated_and_available(
        #[case] observed: i64,
        #[case] desired: i32,
        #[case] updated: i32,
        #[case] available: i32,
        #[case] done: bool,
    ) {
        let mut daemon_set = DaemonSet::default();
        daemon_set.metadata.generation = Some(2);
        daemon_set.status = Some(DaemonSetStatus {
            observed_generation: Some(observed),
            desired_number_scheduled: desired,
            updated_number_scheduled: Some(updated),
            number_available: Some(available),
            ..DaemonSetStatus::default()
        });
        assert_eq!(daemon_set_progress(&daemon_set) == Progress::Done, done);
    }
}
