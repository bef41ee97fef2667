//! Waits for pods, by a watch, with a deadline; the error has the last state.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::time::{Instant, timeout};

use super::DeployError;
use crate::wait::back_off;

/// The addresses of each pod, by name, in the order of its status.
pub(super) type Placed = BTreeMap<String, Vec<IpAddr>>;

/// The state to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Ready, with an address.
    Ready,
    /// Its container has started, even if it has ended.
    Started,
}

/// Waits until all named pods have a state, and returns their addresses.
pub(super) async fn pods_up(
    api: &Api<Pod>,
    names: &[String],
    wanted: Wanted,
    limit: Duration,
) -> Result<Placed, DeployError> {
    let mut seen: BTreeMap<String, Pod> = BTreeMap::new();
    let wait = async {
        let mut changes =
            pin!(watcher(api.clone(), watcher::Config::default()).default_backoff().touched_objects());
        loop {
            match changes.try_next().await {
                Ok(Some(pod)) => drop(seen.insert(pod.metadata.name.clone().unwrap_or_default(), pod)),
                Ok(None) => return,
                Err(error) => tracing::debug!(%error, "watching pods"),
            }
            if names.iter().all(|name| seen.get(name).is_some_and(|pod| is(pod, wanted))) {
                return;
            }
        }
    };
    let in_time = timeout(limit, wait).await.is_ok();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !seen.get(*name).is_some_and(|pod| is(pod, wanted)))
        .map(|name| format!("{name} {}", seen.get(name).map_or("was not found".into(), state)))
        .collect();
    if !in_time || !missing.is_empty() {
        let what = format!("probe pods {}", if wanted == Wanted::Ready { "ready" } else { "started" });
        return Err(DeployError::Deadline { what, after: limit, last: missing.join("; ") });
    }
    Ok(seen.iter().map(|(name, pod)| (name.clone(), addresses(pod))).collect())
}

/// Checks a condition until it holds or the time is over; its error is the last state.
pub(super) async fn until(
    what: &str,
    limit: Duration,
    mut holds: impl AsyncFnMut() -> Result<(), String>,
) -> Result<(), DeployError> {
    let deadline = Instant::now() + limit;
    let mut tries = 0;
    loop {
        match holds().await {
            Ok(()) => return Ok(()),
            Err(last) if Instant::now() >= deadline => {
                return Err(DeployError::Deadline { what: what.into(), after: limit, last });
            }
            Err(_) => back_off(tries).await,
        }
        tries += 1;
    }
}

fn is(pod: &Pod, wanted: Wanted) -> bool {
    match wanted {
        Wanted::Ready => is_ready(pod) && !addresses(pod).is_empty(),
        Wanted::Started => {
            container(pod).is_some_and(|state| state.running.is_some() || state.terminated.is_some())
        }
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let all = pod.status.as_ref().and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
    all.iter().filter_map(|own| own.ip.parse().ok()).collect()
}

fn status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn container(pod: &Pod) -> Option<&ContainerState> {
    status(pod)?.state.as_ref()
}

/// Tells the state of a pod in a few words.
fn state(pod: &Pod) -> String {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("has no status");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node");
    let before =
        status(pod).and_then(|status| status.last_state.as_ref()?.terminated.as_ref()?.message.clone());
    let reason = container(pod).and_then(|state| match (&state.waiting, &state.terminated) {
        // One that waits to be started again has said why before.
        (Some(waiting), _) => Some((waiting.reason.clone(), before.or_else(|| waiting.message.clone()))),
        (_, Some(ended)) => Some((Some(format!("exit code {}", ended.exit_code)), ended.message.clone())),
        _ => None,
    });
    let words = reason.into_iter().flat_map(|(reason, message)| [reason, message]).flatten();
    let words = words.map(|word| word.trim().replace('\n', ", "));
    let words: Vec<_> = std::iter::once(phase.to_owned()).chain(words).collect();
    format!("on {node} is {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"spec": {"nodeName": "node1", "containers": []}, "status": status}))
            .unwrap()
    }

    #[test]
    fn ready_needs_an_address() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        assert!(!is(&pod(json!({"conditions": ready})), Wanted::Ready));
        let both = json!([{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]);
        let pod = pod(json!({"conditions": ready, "podIP": "10.0.0.7", "podIPs": both}));
        assert!(is(&pod, Wanted::Ready));
        assert_eq!(addresses(&pod), ["10.0.0.7", "fd00::7"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn the_last_state_names_the_reason() {
        let waiting = json!({"waiting": {"reason": "ErrImageNeverPull", "message": "image is not present"}});
        let status = json!({"phase": "Pending", "containerStatuses": [{"state": waiting,
            "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0}]});
        assert_eq!(state(&pod(status)), "on node1 is Pending, ErrImageNeverPull, image is not present");
        assert_eq!(state(&pod(json!({}))), "on node1 is has no status");
        let waiting =
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}});
        let ended = json!({"terminated": {"exitCode": 1, "message": "cannot listen on udp:7000\n"}});
        let status = json!({"phase": "Running", "containerStatuses": [{"state": waiting, "lastState": ended,
            "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 2}]});
        assert_eq!(state(&pod(status)), "on node1 is Running, CrashLoopBackOff, cannot listen on udp:7000");
    }
}
