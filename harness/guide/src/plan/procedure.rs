//! The steps of a stage with their commands, corrected where the guide slips.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::hazard::{self, Facts, Hazard};
use crate::plan::{Direction, Preflight};
use crate::transition::Row;
use model::{Minor, Version};

/// One step of a procedure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it does.
    pub name: String,
    /// Commands, in order.
    pub commands: Vec<String>,
    /// What to watch out for.
    pub note: Option<String>,
}

/// How to go back, and what that leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Commands, in order.
    pub commands: Vec<String>,
    /// What these commands do not bring back.
    pub not_undone: Vec<String>,
    /// What can go wrong on the way back.
    pub hazards: Vec<Hazard>,
}

/// The hop that a stage makes.
#[derive(Clone, Copy)]
pub(super) struct Hop<'a> {
    pub(super) from: &'a Version,
    pub(super) to: &'a Version,
    pub(super) direction: Direction,
}

impl Step {
    fn new(name: &str, commands: Vec<String>, note: Option<&str>) -> Self {
        Self { name: name.to_owned(), commands, note: note.map(ToOwned::to_owned) }
    }
}

/// Returns the steps of a stage, its preflights among them.
pub(super) fn steps(hop: &Hop<'_>, row: &Row, preflights: &[Preflight], facts: &Facts<'_>) -> Vec<Step> {
    let Hop { from, to, direction } = *hop;
    let mut steps = Vec::new();
    if to.minor() >= Minor::new(1, 6) && !has_chart(to) {
        steps.push(Step::new("Get the chart, which is not published for this release", download(to), None));
    }
    for preflight in preflights {
        steps.push(Step::new(&format!("Preflight: {}", preflight.why), preflight.commands.clone(), None));
    }
    if direction != Direction::Micro {
        steps.push(rebase(from, to));
    }
    if direction == Direction::Micro && !row.daemonset_required {
        steps.push(set_image(to));
    } else {
        steps.push(manifests(from, to, facts));
    }
    steps.push(Step::new(
        "Wait for the roll and check",
        vec![
            "kubectl -n kube-system rollout status daemonset/cilium".to_owned(),
            "kubectl -n kube-system get pods -l k8s-app=cilium -o wide".to_owned(),
        ],
        Some(
            "existing policy stays in force while an agent is away; new policy takes effect on a node when its agent is back",
        ),
    ));
    steps
}

fn rebase(from: &Version, to: &Version) -> Step {
    Step::new(
        "Rebase the ConfigMap",
        vec![
            "kubectl -n kube-system get configmap cilium-config -o yaml > cilium-config.yaml".to_owned(),
            format!("seatrial rebase --from {from} --to {to} --in-place cilium-config.yaml"),
            "kubectl apply -f cilium-config.yaml".to_owned(),
        ],
        Some("kubectl 1.18 and later have no --export; the rebase drops what the server adds"),
    )
}

/// From 1.6 on the init container runs the agent's image, so it is set as well.
fn set_image(to: &Version) -> Step {
    let registry = catalogue::line(to.minor()).map_or("docker.io/cilium", |line| line.registry_of(to));
    let tag = to.tag();
    let agent = format!("{registry}/cilium:{tag}");
    let init =
        if to.minor() >= Minor::new(1, 6) { format!(" clean-cilium-state={agent}") } else { String::new() };
    let mut commands =
        vec![format!("kubectl -n kube-system set image daemonset/cilium cilium-agent={agent}{init}")];
    if to.minor() >= Minor::new(1, 4) {
        let name = if to.minor() >= Minor::new(1, 8) { "operator-generic" } else { "operator" };
        commands.push(format!(
            "kubectl -n kube-system set image deployment/cilium-operator cilium-operator={registry}/{name}:{tag}"
        ));
    }
    Step::new("Set the image", commands, None)
}

fn manifests(from: &Version, to: &Version, facts: &Facts<'_>) -> Step {
    let name = "Apply the manifests of the new version, all but the ConfigMap";
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
            Some("the folder is named after the Kubernetes minor, not after Cilium's"),
        );
    }
    if to.minor() < Minor::new(1, 9) {
        let keep = match to.minor() {
            minor if minor == Minor::new(1, 7) && from.minor() < minor => {
                " --set agent.keepDeprecatedLabels=true"
            }
            minor if minor == Minor::new(1, 8) && from.minor() < minor => {
                " --set agent.keepDeprecatedProbes=true"
            }
            _ => "",
        };
        let template = helm_template(to);
        let commands = vec![
            format!("{template} --set config.enabled=false{keep} > cilium.yaml"),
            "kubectl apply -f cilium.yaml".to_owned(),
        ];
        return Step::new(
            name,
            commands,
            Some("with config.enabled=false other values have no effect: they live in the ConfigMap"),
        );
    }
    let upgrade = format!(
        "helm upgrade cilium cilium/cilium --version {to} --namespace kube-system -f values.yaml --set upgradeCompatibility=FIRST_INSTALLED_MINOR"
    );
    Step::new(
        "Upgrade the release",
        vec!["helm repo update".to_owned(), upgrade],
        Some(
            "no --reuse-values: keep your values in a file; upgradeCompatibility is the minor first installed",
        ),
    )
}

/// Returns how `helm template` is called for a release.
pub(super) fn helm_template(to: &Version) -> String {
    if has_chart(to) {
        format!("helm template cilium cilium/cilium --version {to} --namespace kube-system")
    } else {
        "helm template cilium --namespace kube-system".to_owned()
    }
}

/// Tells whether the chart of a release is published apart from its source.
fn has_chart(to: &Version) -> bool {
    let line = catalogue::line(to.minor());
    line.and_then(|line| line.chart.as_ref()).is_some_and(|chart| chart.contains(to))
}

fn download(to: &Version) -> Vec<String> {
    vec![
        format!("curl -LO https://github.com/cilium/cilium/archive/{to}.tar.gz"),
        format!("tar xzf {to}.tar.gz"),
        format!("cd cilium-{to}/install/kubernetes"),
    ]
}

/// Returns how to go back from a stage.
pub(super) fn rollback(hop: &Hop<'_>, facts: &Facts<'_>) -> Rollback {
    let Hop { from, to, direction } = *hop;
    let commands = if direction != Direction::Micro && to.minor() >= Minor::new(1, 9) {
        vec!["helm rollback cilium --namespace kube-system".to_owned()]
    } else {
        vec![
            "kubectl -n kube-system rollout undo daemonset/cilium".to_owned(),
            "kubectl -n kube-system rollout status daemonset/cilium".to_owned(),
        ]
    };
    let mut not_undone = Vec::new();
    if direction != Direction::Micro {
        let rebase = format!("the ConfigMap: go back with `seatrial rebase --from {to} --to {from}`");
        not_undone.push(rebase);
        if to.minor() < Minor::new(1, 9) {
            not_undone.push("ClusterRoles, ServiceAccounts and their bindings".to_owned());
            if to.minor().max(from.minor()) >= Minor::new(1, 4) {
                not_undone.push("the Deployment cilium-operator".to_owned());
            }
        }
        not_undone.push("CRDs and the objects of new kinds, such as CiliumIdentity".to_owned());
    } else if to.minor() >= Minor::new(1, 4) {
        not_undone.push("the Deployment cilium-operator".to_owned());
    }
    let there = hazard::hazards(from, to, facts);
    let mut hazards = hazard::hazards(to, from, facts);
    hazards.retain(|hazard| !there.contains(hazard));
    Rollback { commands, not_undone, hazards }
}
