//! The steps of a stage for a cluster that Helm manages: since 1.9, the values file is the source of every setting.

use super::chart::VALUES;
use super::step::{Rollback, Step};
use crate::facts::Facts;
use model::{Minor, Version};

/// The first minor that is upgraded with `helm upgrade`.
pub(super) const SINCE: Minor = Minor::new(1, 9);

/// The repository of the charts.
const REPOSITORY: &str = "https://helm.cilium.io";

/// Makes the chart repository known and the charts current.
pub(super) fn repository() -> Vec<String> {
    vec![format!("helm repo add cilium {REPOSITORY} --force-update"), "helm repo update cilium".to_owned()]
}

/// Returns the steps that save the values and compare the settings.
pub(super) fn prepare(from: &Version, to: &Version, facts: &Facts<'_>) -> Vec<Step> {
    let namespace = facts.namespace();
    let mut commands = repository();
    commands.push(format!("helm get values cilium --namespace {namespace} --output yaml > {VALUES}"));
    let mut steps = vec![Step::new(
        "Save the values of the release",
        commands,
        Some("all later changes go into this file: helm upgrade overwrites the ConfigMap"),
    )];
    if from.minor() != to.minor() {
        steps.push(find_changes(from, to, namespace));
    }
    steps
}

/// Returns the step that finds what changes under the values; of charts before 1.9, which have other values, the ConfigMap
/// is compared.
fn find_changes(from: &Version, to: &Version, namespace: &str) -> Step {
    if from.minor() < SINCE {
        let commands = vec![
            format!("kubectl -n {namespace} get configmap cilium-config -o yaml > cilium-config.yaml"),
            format!("seatrial rebase --from {from} --to {to} --output diff --explain cilium-config.yaml"),
        ];
        let note = "put what it pins, renames or reports into the values file, not into the ConfigMap";
        return Step::new("Find the settings that change", commands, Some(note));
    }
    let command = format!(
        "seatrial rebase --from {from} --to {to} --values {VALUES} --charts {REPOSITORY} --output diff --explain"
    );
    let note = "exit code 1: decide on each conflict in the values file; --in-place instead of --output diff takes its proposals";
    Step::new("Find the values that change, and the pods that restart", vec![command], Some(note))
}

/// Returns the step that upgrades the release.
pub(super) fn upgrade(from: &Version, to: &Version, facts: &Facts<'_>) -> Step {
    let namespace = facts.namespace();
    let compatibility = compatibility(from, to);
    let command = format!(
        "helm upgrade cilium cilium/cilium --version {to} --namespace {namespace} --values {VALUES}{compatibility}"
    );
    let note =
        "no --reuse-values; FIRST_INSTALLED_MINOR is the minor that was installed first, for example 1.12";
    Step::new("Upgrade the release", vec![command], Some(note))
}

/// Returns the option that keeps defaults of the installation; the shell stops where the variable is not set.
fn compatibility(from: &Version, to: &Version) -> &'static str {
    if from.minor() == to.minor() && to.minor() < SINCE {
        return "";
    }
    " --set-string upgradeCompatibility=\"${FIRST_INSTALLED_MINOR:?}\""
}

/// Returns the rollback of a release.
pub(super) fn rollback(facts: &Facts<'_>, patch: bool) -> Rollback {
    let namespace = facts.namespace();
    let commands = vec![
        format!("helm rollback cilium --namespace {namespace}"),
        format!("kubectl -n {namespace} rollout status daemonset/cilium"),
    ];
    let mut not_undone = Vec::new();
    if !patch {
        not_undone
            .push("CRDs that the operator or the agents upgraded, and the objects of added kinds".to_owned());
        not_undone.push(format!("{VALUES}: keep the file of the earlier version"));
    }
    Rollback { commands, not_undone, hazards: Vec::new() }
}
