//! What a run does on its cluster, step by step, as a value. Pure: a request becomes it, the executor follows it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guide::{Direction, Impact, Plan, Stage, Version};
use serde_json::Value;

use super::inject::Cause;
use super::look::Look;

/// How long is measured after a change has ended, when another follows.
pub(super) const SETTLE: Duration = Duration::from_secs(5);
/// How long is measured after the last: a fault may show only after a while.
pub(super) const SOAK: Duration = Duration::from_secs(12);

/// A first version and what is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Procedure {
    /// The version that is installed.
    pub first: Version,
    /// What follows once traffic flows and its baseline was taken.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub action: Action,
    /// How long its rollout may take; the usual time where it does not say.
    pub within: Option<Duration>,
    /// Whether the procedure ends here, instead of being in error, when the step fails.
    pub may_fail: bool,
    /// What is done in the midst of it, as soon as an agent is away.
    pub meanwhile: Option<PolicyChange>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Runs the pre-flight check of a version, and deletes it again.
    Preflight(Target),
    /// Sets keys of the ConfigMap.
    EditConfig(BTreeMap<String, String>),
    /// Rebases the ConfigMap onto the template of a version.
    Rebase {
        /// Version that the ConfigMap is for.
        from: Version,
        /// Version that it shall be for.
        to: Version,
    },
    /// Changes the agents: the part that is measured and judged.
    Change(Hop, Way),
    /// Measures on after a change, and keeps the subject's objects under this name.
    Settle(String),
    /// Measures while nothing is done.
    Wait(Duration),
    /// Disturbs a node on purpose, waits until every flow is steady again, and a little more.
    Inject(Cause, String),
    /// Applies and deletes policies.
    Policies(PolicyChange),
    /// Writes a file on every node.
    PlaceFile(PathBuf, String),
    /// Looks at something, and leaves the subject as it is.
    Look(Look),
    /// Migrates identities from the kvstore to the API server, from a pre-flight pod of this version.
    MigrateIdentities(Version),
    /// Deletes the identities of the API server.
    ClearIdentities,
    /// Adds one more server to the Service of all servers, or removes it.
    SpareServer {
        /// Whether it is added.
        added: bool,
    },
    /// Makes pods ask for the names that they know.
    AskNames,
}

/// Policies that come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// The `spec` of each that is applied, by name.
    pub apply: BTreeMap<String, Value>,
    /// Names of those that are deleted afterwards.
    pub delete: Vec<String>,
}

/// A version, the tag of its images where that is not the version's own, and further values of its chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub version: Version,
    pub tag: Option<String>,
    pub set: BTreeMap<String, String>,
}

/// A change of version, and the guide's words for what traffic feels of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub from: Version,
    pub to: Version,
    /// `upgrade`, `rollback`, `downgrade`, `re-apply` or `restart`.
    pub direction: &'static str,
    pub l3: String,
    pub l7: String,
}

/// How the agents are changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Everything that the chart renders but the ConfigMap is applied; the images' tag, where it is not the version's.
    Chart(Option<String>),
    /// Everything that the chart renders is applied, the ConfigMap too.
    ChartAndConfig,
    /// The image of the agents' container is set.
    Image,
    /// The last rollout is undone.
    Undo,
    /// The agents are restarted as they are.
    Restart,
}

impl Procedure {
    /// The documented way: for each stage the pre-flight check, the required keys, and the upgrade.
    pub fn of_plan(plan: &Plan, rollback: bool) -> Self {
        let mut steps: Vec<Step> = plan.stages.iter().flat_map(stage).collect();
        if let Some(last) = plan.stages.last().filter(|_| rollback) {
            steps.extend(changed(Hop::back_over(last), Way::Undo));
        }
        Self { first: plan.stages.first().map_or_else(|| plan.from.clone(), |s| s.from.clone()), steps }
    }

    /// The way of what no guide is about: the manifests of another version are applied, and `rollback` undoes the rollout.
    pub fn undocumented(from: Version, to: Version, rollback: bool) -> Self {
        let hop = |from: &Version, to: &Version, direction| Hop {
            from: from.clone(),
            to: to.clone(),
            direction,
            l3: Impact::MinimalToNone.to_string(),
            l7: Impact::NotApplicable.to_string(),
        };
        let mut steps = Vec::from(changed(hop(&from, &to, "upgrade"), Way::ChartAndConfig));
        if rollback {
            steps.extend(changed(hop(&to, &from, "rollback"), Way::Undo));
        }
        Self { first: from, steps }
    }

    /// Every version that will run or be checked, each once, in order.
    pub fn versions(&self) -> Vec<Version> {
        let mut versions = vec![self.first.clone()];
        for step in &self.steps {
            let version = match &step.action {
                Action::Preflight(target) => &target.version,
                Action::Rebase { to, .. } => to,
                Action::Change(hop, _) => &hop.to,
                Action::MigrateIdentities(version) => version,
                Action::EditConfig(_)
                | Action::Settle(_)
                | Action::Wait(_)
                | Action::Inject(..)
                | Action::Policies(_)
                | Action::PlaceFile(..)
                | Action::Look(_)
                | Action::ClearIdentities
                | Action::SpareServer { .. }
                | Action::AskNames => continue,
            };
            if !versions.contains(version) {
                versions.push(version.clone());
            }
        }
        versions
    }

    /// The files that are placed on the nodes.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::PlaceFile(path, _) => Some(path.as_path()),
            _ => None,
        })
    }

    /// The changes, in order.
    pub fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Change(hop, _) => Some(hop),
            _ => None,
        })
    }
}

impl Step {
    fn new(name: String, action: Action) -> Self {
        Self { name, action, within: None, may_fail: false, meanwhile: None }
    }

    pub fn preflight(target: Target) -> Self {
        Self::new(format!("pre-flight check {}", target.version), Action::Preflight(target))
    }

    pub fn edit_config(name: String, changes: BTreeMap<String, String>) -> Self {
        Self::new(name, Action::EditConfig(changes))
    }

    pub fn rebase(from: Version, to: Version) -> Self {
        Self::new(format!("rebase onto {to}"), Action::Rebase { from, to })
    }

    pub fn inject(number: usize, cause: Cause, node: String) -> Self {
        Self::new(format!("{number}: {cause}, {node}"), Action::Inject(cause, node))
    }

    pub fn wait(length: Duration) -> Self {
        Self::new(format!("wait {} s", length.as_secs()), Action::Wait(length))
    }

    pub fn migrate_identities(version: Version) -> Self {
        Self::new("migrate identities".to_owned(), Action::MigrateIdentities(version))
    }

    pub fn clear_identities() -> Self {
        Self::new("clear identities".to_owned(), Action::ClearIdentities)
    }

    pub fn spare_server(added: bool) -> Self {
        let name = if added { "add a server" } else { "remove a server" };
        Self::new(name.to_owned(), Action::SpareServer { added })
    }

    pub fn ask_names() -> Self {
        Self::new("ask for names".to_owned(), Action::AskNames)
    }

    pub fn place_file(path: PathBuf, text: String) -> Self {
        Self::new(format!("place {}", path.display()), Action::PlaceFile(path, text))
    }

    pub fn look(look: Look) -> Self {
        Self::new(look.name(), Action::Look(look))
    }

    pub fn policies(change: PolicyChange) -> Self {
        Self::new(change.to_string(), Action::Policies(change))
    }
}

impl Action {
    /// The point at which it ends, if the subject's objects are kept then.
    pub fn point(&self) -> Option<&str> {
        match self {
            Self::Settle(point) => Some(point),
            Self::PlaceFile(..) => Some("placed"),
            Self::Look(Look::StartBeside(..)) => Some("started"),
            Self::Look(Look::Hear(_)) => Some("heard"),
            _ => None,
        }
    }
}

impl PolicyChange {
    pub fn is_empty(&self) -> bool {
        self.apply.is_empty() && self.delete.is_empty()
    }
}

impl fmt::Display for PolicyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applied = self.apply.keys().map(|name| format!("apply policy {name}"));
        let deleted = self.delete.iter().map(|name| format!("delete policy {name}"));
        f.write_str(&applied.chain(deleted).collect::<Vec<_>>().join(", "))
    }
}

impl Hop {
    /// The hop of a stage.
    pub fn over(stage: &Stage) -> Self {
        let (from, to) = (stage.from.clone(), stage.to.clone());
        let direction = if to < from { "downgrade" } else { "upgrade" };
        Self { from, to, direction, l3: stage.l3.to_string(), l7: stage.l7.to_string() }
    }

    fn back_over(stage: &Stage) -> Self {
        let (from, to) = (stage.to.clone(), stage.from.clone());
        Self { from, to, direction: "rollback", ..Self::over(stage) }
    }

    /// What it is called in the record and in findings.
    pub fn name(&self) -> String {
        format!("{} {} -> {}", self.direction, self.from, self.to)
    }

    fn step(&self) -> String {
        match self.direction {
            "rollback" => format!("roll back {} -> {}", self.from, self.to),
            "restart" | "re-apply" => format!("{} {}", self.direction, self.to),
            _ => self.name(),
        }
    }

    fn point(&self) -> String {
        let done = match self.direction {
            "rollback" => "rolled-back",
            "downgrade" => "downgraded",
            "restart" => "restarted",
            "re-apply" => "re-applied",
            _ => "upgraded",
        };
        format!("{done}-{}", self.to)
    }
}

/// A change, and the measurement after it.
pub fn changed(hop: Hop, way: Way) -> [Step; 2] {
    let settle = Step::new(format!("settle on {}", hop.to), Action::Settle(hop.point()));
    [Step::new(hop.step(), Action::Change(hop, way)), settle]
}

fn stage(stage: &Stage) -> Vec<Step> {
    let target = Target { version: stage.to.clone(), tag: None, set: BTreeMap::new() };
    let mut steps = vec![Step::preflight(target)];
    if !stage.config_changes.is_empty() {
        let changes = stage.config_changes.iter().map(|change| (change.key.clone(), change.value.clone()));
        steps.push(Step::edit_config(format!("required changes before {}", stage.to), changes.collect()));
    }
    let way = match stage.direction {
        Direction::Micro => Way::Image,
        Direction::Up | Direction::Down => Way::Chart(None),
    };
    steps.extend(changed(Hop::over(stage), way));
    steps
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn procedure(from: &str, to: &str, rollback: bool) -> Procedure {
        let plan = guide::plan(&from.parse().unwrap(), &to.parse().unwrap()).unwrap();
        Procedure::of_plan(&plan, rollback)
    }

    #[rstest]
    #[case::minor("1.5.13", "1.6.12", false, &[
        "pre-flight check 1.6.12",
        "required changes before 1.6.12",
        "upgrade 1.5.13 -> 1.6.12",
        "settle on 1.6.12",
    ])]
    #[case::micro_and_back("1.6.11", "1.6.12", true, &[
        "pre-flight check 1.6.12",
        "upgrade 1.6.11 -> 1.6.12",
        "settle on 1.6.12",
        "roll back 1.6.12 -> 1.6.11",
        "settle on 1.6.11",
    ])]
    fn plans_become_steps(
        #[case] from: &str,
        #[case] to: &str,
        #[case] rollback: bool,
        #[case] expected: &[&str],
    ) {
        let procedure = procedure(from, to, rollback);
        let names: Vec<_> = procedure.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn without_a_guide_manifests_are_applied_whole_and_the_rollout_is_undone() {
        let procedure = Procedure::undocumented(Version::new(0, 25, 7), Version::new(0, 26, 7), true);
        let names: Vec<_> = procedure.steps.iter().map(|step| step.name.as_str()).collect();
        let expected = [
            "upgrade 0.25.7 -> 0.26.7",
            "settle on 0.26.7",
            "roll back 0.26.7 -> 0.25.7",
            "settle on 0.25.7",
        ];
        assert_eq!(names, expected);
        let Action::Change(hop, way) = &procedure.steps[0].action else { panic!("it is a change") };
        assert_eq!((hop.l3.as_str(), way), ("Minimal to None", &Way::ChartAndConfig));
        assert_eq!(procedure.versions().len(), 2);
    }

    #[rstest]
    #[case::minor("1.5.13", "1.6.12", Way::Chart(None))]
    #[case::micro("1.6.11", "1.6.12", Way::Image)]
    fn only_another_minor_needs_the_chart(#[case] from: &str, #[case] to: &str, #[case] expected: Way) {
        let ways: Vec<_> = procedure(from, to, false)
            .steps
            .into_iter()
            .filter_map(|step| match step.action {
                Action::Change(_, way) => Some(way),
                _ => None,
            })
            .collect();
        assert_eq!(ways, [expected]);
    }

    #[test]
    fn a_version_is_named_once_and_a_rollback_is_a_hop() {
        let procedure = procedure("1.5.13", "1.6.12", true);
        let versions: Vec<_> = procedure.versions().iter().map(ToString::to_string).collect();
        assert_eq!(versions, ["1.5.13", "1.6.12"]);
        let hops: Vec<_> = procedure.hops().map(Hop::name).collect();
        assert_eq!(hops, ["upgrade 1.5.13 -> 1.6.12", "rollback 1.6.12 -> 1.5.13"]);
    }
}
