//! The steps of a stage with their commands; mistakes in the guide are corrected.

use crate::catalogue;
use crate::facts::Facts;
use crate::hazard;
use crate::plan::chart::{self, helm_template};
use crate::plan::preflight::Preflight;
use crate::plan::step::{Rollback, Step};
use crate::plan::{StageKind, release};
use crate::transition::Row;
use model::{Minor, Version};

/// The versions of a stage, and its kind.
#[derive(Clone, Copy)]
pub(super) struct Hop<'a> {
    pub(super) from: &'a Version,
    pub(super) to: &'a Version,
    pub(super) kind: StageKind,
}

/// Returns the steps of a stage, pre-flight checks included.
pub(super) fn steps(hop: &Hop<'_>, row: &Row, preflights: &[Preflight], facts: &Facts<'_>) -> Vec<Step> {
    let Hop { from, to, kind } = *hop;
    let namespace = facts.namespace();
    let mut steps = Vec::new();
    if to.minor() >= Minor::new(1, 6) && !chart::is_published(to) {
        steps.push(Step::new(
            "Download the chart, which is not published for this release",
            chart::download(to),
            None,
        ));
    }
    for preflight in preflights {
        steps.push(Step::new(
            &format!("Pre-flight check: {}", preflight.why),
            preflight.commands.clone(),
            None,
        ));
    }
    if to.minor() >= release::SINCE {
        // The preparation comes first: pre-flight checks are rendered from the chart repository.
        steps.splice(0..0, release::prepare(from, to, facts));
        steps.push(release::upgrade(from, to, facts));
    } else {
        if kind != StageKind::Patch {
            steps.push(rebase(from, to, namespace));
        }
        if kind == StageKind::Patch && !row.daemonset_required {
            steps.push(set_image(to, facts));
        } else {
            steps.push(manifests(from, to, facts));
        }
    }
    steps.push(Step::new(
        "Wait for the rollout and check the pods",
        vec![
            format!("kubectl -n {namespace} rollout status daemonset/cilium"),
            format!("kubectl -n {namespace} get pods -l k8s-app=cilium -o wide"),
        ],
        Some(
            "existing policies stay in force while an agent restarts; new policies take effect on a node when its agent is ready",
        ),
    ));
    steps
}

fn rebase(from: &Version, to: &Version, namespace: &str) -> Step {
    Step::new(
        "Rebase the ConfigMap",
        vec![
            format!("kubectl -n {namespace} get configmap cilium-config -o yaml > cilium-config.yaml"),
            format!("seatrial rebase --from {from} --to {to} --in-place cilium-config.yaml"),
            "kubectl apply -f cilium-config.yaml".to_owned(),
        ],
        Some("kubectl has no --export since 1.18; the rebase removes the fields that the API server adds"),
    )
}

/// Since 1.6 the init container runs the agent's image, so both images are set.
fn set_image(to: &Version, facts: &Facts<'_>) -> Step {
    let registry = catalogue::line(to.minor()).map_or("docker.io/cilium", |line| line.registry_of(to));
    let (tag, namespace) = (to.tag(), facts.namespace());
    let agent = format!("{registry}/cilium:{tag}");
    let init =
        if to.minor() >= Minor::new(1, 6) { format!(" clean-cilium-state={agent}") } else { String::new() };
    let mut commands =
        vec![format!("kubectl -n {namespace} set image daemonset/cilium cilium-agent={agent}{init}")];
    if to.minor() >= Minor::new(1, 4) {
        let name = operator(to, facts);
        commands.push(format!(
            "kubectl -n {namespace} set image deployment/cilium-operator cilium-operator={registry}/{name}:{tag}"
        ));
    }
    Step::new("Set the image", commands, None)
}

/// Returns the name of the operator's image: since 1.8 it depends on the IPAM mode.
fn operator(to: &Version, facts: &Facts<'_>) -> &'static str {
    match facts.config.and_then(|config| config.get("ipam")) {
        _ if to.minor() < Minor::new(1, 8) => "operator",
        Some("eni") => "operator-aws",
        Some("azure") => "operator-azure",
        Some("alibabacloud") => "operator-alibabacloud",
        _ => "operator-generic",
    }
}

fn manifests(from: &Version, to: &Version, facts: &Facts<'_>) -> Step {
    let name = "Apply the manifests of the target version, without the ConfigMap";
    if to.minor() < Minor::new(1, 6) {
        let folder =
            facts.kubernetes.map_or_else(|| "KUBERNETES_MINOR".to_owned(), |minor| minor.to_string());
        let base =
            format!("https://raw.githubusercontent.com/cilium/cilium/{to}/examples/kubernetes/{folder}");
        let operator = (to.minor() >= Minor::new(1, 4)).then_some("cilium-operator.yaml");
        let files = ["cilium-rbac.yaml", "cilium-ds.yaml"].into_iter().chain(operator);
        let commands = files.map(|file| format!("kubectl apply -f {base}/{file}")).collect();
        return Step::new(
            name,
            commands,
            Some("the folder is named after the Kubernetes minor, not the Cilium minor"),
        );
    }
    let keep = match to.minor() {
        minor if minor == Minor::new(1, 7) && from.minor() < minor => {
            " --set agent.keepDeprecatedLabels=true"
        }
        minor if minor == Minor::new(1, 8) && from.minor() < minor => {
            " --set agent.keepDeprecatedProbes=true"
        }
        _ => "",
    };
    let template = helm_template(to, facts.namespace());
    let commands = vec![
        format!("{template} --set config.enabled=false{keep} > cilium.yaml"),
        "kubectl apply -f cilium.yaml".to_owned(),
    ];
    Step::new(
        name,
        commands,
        Some(
            "with config.enabled=false, values that configure the agent have no effect: the ConfigMap holds them",
        ),
    )
}

/// Returns how to roll a stage back.
pub(super) fn rollback(hop: &Hop<'_>, facts: &Facts<'_>) -> Rollback {
    let Hop { from, to, kind } = *hop;
    let rollback = if to.minor() >= release::SINCE && from.minor() >= release::SINCE {
        release::rollback(facts, kind == StageKind::Patch)
    } else {
        undo(hop, facts.namespace())
    };
    let there = hazard::hazards(from, to, facts);
    let mut hazards = hazard::hazards(to, from, facts);
    hazards.retain(|hazard| !there.contains(hazard));
    Rollback { hazards, ..rollback }
}

/// Undoes the rollout of manifests, which restores pod templates only.
fn undo(hop: &Hop<'_>, namespace: &str) -> Rollback {
    let Hop { from, to, kind } = *hop;
    let mut commands = vec![format!("kubectl -n {namespace} rollout undo daemonset/cilium")];
    let operator = to.minor().min(from.minor()) >= Minor::new(1, 4);
    if operator {
        commands.push(format!("kubectl -n {namespace} rollout undo deployment/cilium-operator"));
    }
    commands.push(format!("kubectl -n {namespace} rollout status daemonset/cilium"));
    let mut not_undone = Vec::new();
    if kind != StageKind::Patch {
        not_undone.push(format!("the ConfigMap: rebase it with `seatrial rebase --from {to} --to {from}`"));
        not_undone.push("ClusterRoles, ServiceAccounts and their bindings".to_owned());
        if !operator && to.minor().max(from.minor()) >= Minor::new(1, 4) {
            not_undone
                .push("the Deployment cilium-operator, which the older version does not have".to_owned());
        }
        not_undone
            .push("CRDs, and objects of kinds that the upgrade added, such as CiliumIdentity".to_owned());
    }
    Rollback { commands, not_undone, hazards: Vec::new() }
}
