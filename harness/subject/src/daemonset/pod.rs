//! The state of a pod, from its status.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Whether it can be used.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Node and phase of a pod, and the reason of its first unready container, as in `on node1 is Pending, ErrImagePull, no such
/// image`.
pub(crate) fn state(pod: &Pod) -> String {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("without a status");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node");
    let reasons = unready_container(pod).map(reasons).unwrap_or_default();
    let reasons = reasons.iter().map(|reason| reason.trim().replace('\n', ", "));
    let parts: Vec<_> = std::iter::once(phase.to_owned()).chain(reasons).collect();
    format!("on {node} is {}", parts.join(", "))
}

/// The first unready container, if it has a log and its status does not contain the end of it.
pub(crate) fn container_with_log(pod: &Pod) -> Option<&str> {
    let container = unready_container(pod)?;
    let state = container.state.as_ref()?;
    let ended = state.terminated.as_ref();
    let ended = ended.or_else(|| container.last_state.as_ref()?.terminated.as_ref());
    let has_log = match ended {
        _ if state.running.is_some() => true,
        Some(ended) => ended.message.is_none(),
        None => false,
    };
    has_log.then_some(container.name.as_str())
}

/// The first unready container; init containers come first.
fn unready_container(pod: &Pod) -> Option<&ContainerStatus> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    let mut all = init.chain(status.container_statuses.iter().flatten());
    all.find(|container| !container.ready)
}

/// Why a container is not ready, from the kubelet and from the program itself.
fn reasons(container: &ContainerStatus) -> Vec<String> {
    let state = container.state.as_ref();
    let ended_before = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        // The message of the last end is the reason of a container that waits for a restart.
        let message =
            ended_before.and_then(|ended| ended.message.clone()).or_else(|| waiting.message.clone());
        return waiting.reason.clone().into_iter().chain(message).collect();
    }
    if state.is_some_and(|state| state.running.is_some()) {
        return vec!["not ready".to_owned()];
    }
    let Some(ended) = state.and_then(|state| state.terminated.as_ref()) else { return Vec::new() };
    [format!("exit code {}", ended.exit_code)].into_iter().chain(ended.message.clone()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn container(state: Value, last: Value, ready: bool) -> Value {
        json!({"name": "c", "image": "", "imageID": "", "restartCount": 0, "ready": ready, "state": state, "lastState": last})
    }

    fn pulling() -> Value {
        container(
            json!({"waiting": {"reason": "ErrImageNeverPull", "message": "image is not present"}}),
            json!({}),
            false,
        )
    }

    fn restarting() -> Value {
        container(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}),
            json!({"terminated": {"exitCode": 1, "message": "cannot listen on udp:7000\n"}}),
            false,
        )
    }

    fn restarting_without_a_message() -> Value {
        container(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}),
            json!({"terminated": {"exitCode": 1}}),
            false,
        )
    }

    fn running() -> Value {
        container(json!({"running": {}}), json!({}), true)
    }

    fn unready() -> Value {
        container(json!({"running": {}}), json!({}), false)
    }

    fn ended() -> Value {
        container(json!({"terminated": {"exitCode": 3}}), json!({}), false)
    }

    #[rstest]
    #[case::nothing_known(json!({}), "on node1 is without a status")]
    #[case::cannot_start(
        json!({"phase": "Pending", "containerStatuses": [pulling()]}),
        "on node1 is Pending, ErrImageNeverPull, image is not present"
    )]
    #[case::restarting(
        json!({"phase": "Running", "containerStatuses": [running(), restarting()]}),
        "on node1 is Running, CrashLoopBackOff, cannot listen on udp:7000"
    )]
    #[case::init_container(
        json!({"phase": "Pending", "initContainerStatuses": [ended()], "containerStatuses": [pulling()]}),
        "on node1 is Pending, exit code 3"
    )]
    #[case::not_ready(
        json!({"phase": "Running", "containerStatuses": [running(), unready()]}),
        "on node1 is Running, not ready"
    )]
    fn the_reason_is_named(#[case] status: Value, #[case] expected: &str) {
        let pod = json!({"spec": {"nodeName": "node1", "containers": []}, "status": status});
        assert_eq!(state(&serde_json::from_value(pod).unwrap()), expected);
    }

    #[rstest]
    #[case::cannot_start(pulling(), None)]
    #[case::ready(running(), None)]
    #[case::restarting(restarting(), None)]
    #[case::restarting_without_a_message(restarting_without_a_message(), Some("c"))]
    #[case::ended(ended(), Some("c"))]
    #[case::not_ready(unready(), Some("c"))]
    fn the_log_is_read_if_the_status_does_not_contain_its_end(
        #[case] container: Value,
        #[case] expected: Option<&str>,
    ) {
        let pod = json!({"spec": {"containers": []}, "status": {"containerStatuses": [container]}});
        assert_eq!(container_with_log(&serde_json::from_value(pod).unwrap()), expected);
    }
}
