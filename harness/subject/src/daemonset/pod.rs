//! What a pod says about itself.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Whether it can be used.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Its node, its phase, and what the first of its containers that is not well says: as in `on node1 is Pending,
/// ErrImagePull, no such image`.
pub(crate) fn state(pod: &Pod) -> String {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("without a status");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node");
    let words = unwell(pod).map(reason).unwrap_or_default();
    let words = words.iter().map(|word| word.trim().replace('\n', ", "));
    let words: Vec<_> = std::iter::once(phase.to_owned()).chain(words).collect();
    format!("on {node} is {}", words.join(", "))
}

/// The first container that is not as it should be, if it has a log and its status does not tell the end of it.
pub(crate) fn unheard(pod: &Pod) -> Option<&str> {
    let container = unwell(pod)?;
    let state = container.state.as_ref()?;
    let ended = state.terminated.as_ref();
    let ended = ended.or_else(|| container.last_state.as_ref()?.terminated.as_ref());
    let unheard = match ended {
        _ if state.running.is_some() => true,
        Some(ended) => ended.message.is_none(),
        None => false,
    };
    unheard.then_some(container.name.as_str())
}

/// The first container that is not as it should be; those that go before the others come first.
fn unwell(pod: &Pod) -> Option<&ContainerStatus> {
    let status = pod.status.as_ref()?;
    let before = status.init_container_statuses.iter().flatten();
    let mut all = before.chain(status.container_statuses.iter().flatten());
    all.find(|container| !container.ready)
}

/// Why it is not, in the words of the kubelet and of the program itself.
fn reason(container: &ContainerStatus) -> Vec<String> {
    let state = container.state.as_ref();
    let ended_before = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        // One that waits to be started again has said why before.
        let said = ended_before.and_then(|ended| ended.message.clone()).or_else(|| waiting.message.clone());
        return waiting.reason.clone().into_iter().chain(said).collect();
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

    fn again() -> Value {
        container(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}),
            json!({"terminated": {"exitCode": 1, "message": "cannot listen on udp:7000\n"}}),
            false,
        )
    }

    fn again_without_a_word() -> Value {
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
    #[case::said_why_before(
        json!({"phase": "Running", "containerStatuses": [running(), again()]}),
        "on node1 is Running, CrashLoopBackOff, cannot listen on udp:7000"
    )]
    #[case::one_that_goes_before(
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
    #[case::well(running(), None)]
    #[case::said_why_before(again(), None)]
    #[case::ended_without_a_word(again_without_a_word(), Some("c"))]
    #[case::ended(ended(), Some("c"))]
    #[case::not_ready(unready(), Some("c"))]
    fn the_log_is_asked_where_the_status_does_not_tell_its_end(
        #[case] container: Value,
        #[case] asked: Option<&str>,
    ) {
        let pod = json!({"spec": {"containers": []}, "status": {"containerStatuses": [container]}});
        assert_eq!(unheard(&serde_json::from_value(pod).unwrap()), asked);
    }
}
