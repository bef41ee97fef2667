//! What follows for a running cluster when an object changes.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::configmap;

/// What follows from a changed object; those that matter most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Consequence {
    /// The API server refuses the change: the upgrade stops.
    Refused,
    /// Agents restart on every node.
    AgentsRestart,
    /// Envoy restarts on every node, and L7 connections end.
    EnvoyRestarts,
    /// Running pods lose a permission.
    PermissionLost,
    /// Other pods restart.
    PodsRestart,
    /// Another object, which restarts no pod.
    None,
}

const WORKLOADS: [&str; 4] = ["DaemonSet", "Deployment", "StatefulSet", "Job"];

/// Returns what follows, and says it.
pub(super) fn of(
    kind: &str,
    name: &str,
    before: Option<&Value>,
    after: Option<&Value>,
) -> (Consequence, String) {
    if let (Some(before), Some(after)) = (before, after)
        && let Some(why) = refused(kind, before, after)
    {
        return (Consequence::Refused, why);
    }
    if WORKLOADS.contains(&kind) {
        return workload(kind, name, before, after);
    }
    match kind {
        "ClusterRole" | "Role" => permissions(before, after),
        "ConfigMap" if name == configmap::NAME => {
            (Consequence::None, "agents read it when they start; see the settings below".to_owned())
        }
        "Secret" => (Consequence::None, "only its keys are compared".to_owned()),
        _ => (Consequence::None, "no pod restarts because of it".to_owned()),
    }
}

/// Says why the API server refuses to change an object in place.
fn refused(kind: &str, before: &Value, after: &Value) -> Option<String> {
    let differs = |pointer: &str| before.pointer(pointer) != after.pointer(pointer);
    let recreate = |field: &str, orphan: &str| {
        format!("its {field} cannot be changed: delete it before the upgrade{orphan}, or the upgrade stops")
    };
    match kind {
        "DaemonSet" | "Deployment" | "StatefulSet" if differs("/spec/selector") => {
            Some(recreate("selector", " (--cascade=orphan keeps its pods)"))
        }
        "ClusterRoleBinding" | "RoleBinding" if differs("/roleRef") => Some(recreate("role", "")),
        // helm deletes the Job of a hook before it makes it again.
        "Job" if differs("/spec/template") && !is_hook(after) => Some(recreate("pod template", "")),
        _ => None,
    }
}

fn is_hook(object: &Value) -> bool {
    object["metadata"]["annotations"].get("helm.sh/hook").is_some()
}

fn workload(kind: &str, name: &str, before: Option<&Value>, after: Option<&Value>) -> (Consequence, String) {
    let template =
        |object: Option<&Value>| object.and_then(|object| object.pointer("/spec/template").cloned());
    if before.is_some() && after.is_some() && template(before) == template(after) {
        return (Consequence::None, "its pods do not restart".to_owned());
    }
    let by_hand =
        after.or(before).is_some_and(|object| object["spec"]["updateStrategy"]["type"] == "OnDelete");
    let when = if by_hand { ", each when its pod is deleted (OnDelete)" } else { "" };
    let (consequence, why) = match (kind, name, before.is_some(), after.is_some()) {
        ("DaemonSet", "cilium", true, true) => (
            Consequence::AgentsRestart,
            format!(
                "agents restart on every node{when}; until they are ready, new pods have no network, and traffic with DNS rules is interrupted, as is traffic with L7 rules unless Envoy runs in a separate DaemonSet"
            ),
        ),
        ("DaemonSet", "cilium", true, false) => {
            (Consequence::AgentsRestart, "agents are deleted on every node".to_owned())
        }
        ("DaemonSet", "cilium-envoy", true, true) => (
            Consequence::EnvoyRestarts,
            format!("Envoy restarts on every node{when}: connections with L7 rules end"),
        ),
        ("DaemonSet", "cilium-envoy", false, _) => (
            Consequence::EnvoyRestarts,
            "Envoy moves out of the agents: connections with L7 rules end when it does".to_owned(),
        ),
        ("DaemonSet", "cilium-envoy", true, false) => (
            Consequence::EnvoyRestarts,
            "Envoy moves into the agents: connections with L7 rules end when it does".to_owned(),
        ),
        ("Deployment", "cilium-operator", true, true) => (
            Consequence::PodsRestart,
            "the operator restarts: addresses for new nodes and the removal of old identities wait for it"
                .to_owned(),
        ),
        ("Deployment", "hubble-relay" | "hubble-ui", ..) => {
            (Consequence::PodsRestart, "only the view of flows is interrupted".to_owned())
        }
        ("Deployment", "clustermesh-apiserver", true, true) => (
            Consequence::PodsRestart,
            "other clusters do not see changes of this one while it restarts".to_owned(),
        ),
        (_, _, false, _) => (Consequence::None, "its pods are new".to_owned()),
        (_, _, _, false) => (Consequence::PodsRestart, "its pods are deleted".to_owned()),
        _ => (Consequence::PodsRestart, "its pods restart".to_owned()),
    };
    (consequence, why)
}

/// Compares the permissions of a role.
fn permissions(before: Option<&Value>, after: Option<&Value>) -> (Consequence, String) {
    let (old, new) = (granted(before), granted(after));
    let lost: Vec<_> = old.difference(&new).map(String::as_str).collect();
    let gained: Vec<_> = new.difference(&old).map(String::as_str).collect();
    if !lost.is_empty() {
        let why = format!("pods of the old version lose permissions while they still run: {}", listed(&lost));
        return (Consequence::PermissionLost, why);
    }
    let why = match gained.is_empty() {
        true => "it grants the same".to_owned(),
        false => format!("it grants more: {}", listed(&gained)),
    };
    (Consequence::None, why)
}

/// Names the first permissions, and counts the others.
fn listed(permissions: &[&str]) -> String {
    const FIRST: usize = 6;
    let first = permissions.iter().take(FIRST).copied().collect::<Vec<_>>().join(", ");
    match permissions.len().saturating_sub(FIRST) {
        0 => first,
        more => format!("{first}, and {more} more"),
    }
}

/// Returns what a role grants, each as `verb resource.group`.
fn granted(role: Option<&Value>) -> BTreeSet<String> {
    let words = |rule: &Value, key: &str| -> Vec<String> {
        let items = rule[key].as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let mut all = BTreeSet::new();
    for rule in role.and_then(|role| role["rules"].as_array()).into_iter().flatten() {
        let names = words(rule, "resourceNames");
        let only = if names.is_empty() { String::new() } else { format!(" {}", names.join("|")) };
        for verb in words(rule, "verbs") {
            for group in words(rule, "apiGroups") {
                for resource in words(rule, "resources") {
                    let dot = if group.is_empty() { "" } else { "." };
                    all.insert(format!("{verb} {resource}{dot}{group}{only}"));
                }
            }
            all.extend(words(rule, "nonResourceURLs").iter().map(|url| format!("{verb} {url}")));
        }
    }
    all
}
