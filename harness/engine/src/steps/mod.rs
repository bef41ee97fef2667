//! The steps of a procedure: one file for each, with its fields in a scenario file, its planning and its execution.
//!
//! A step is registered once, in the list below. The parser, its messages, the schema and the dispatch derive from it.

mod apply_policy;
mod arm;
mod ask_names;
mod beside;
mod context;
mod edit_config;
mod hop;
mod identities;
mod in_agents;
pub mod inject;
mod lint;
mod place_file;
mod planner;
mod preflight;
mod rebase;
mod registry;
mod restart;
mod rollout_undo;
mod scrape;
mod set_image;
mod settle;
mod spare_server;
mod upgrade;
mod wait;

use std::time::Duration;

use model::Version;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};

pub use apply_policy::ApplyPolicy;
pub use arm::Arm;
pub use ask_names::AskNames;
pub use beside::{Hear, StartBeside};
pub(crate) use context::{Observations, StepContext};
pub use edit_config::EditConfig;
pub use hop::Hop;
pub use identities::{ClearIdentities, MigrateIdentities};
pub use in_agents::InAgents;
pub use inject::Inject;
pub use lint::Lint;
pub use place_file::PlaceFile;
pub(crate) use planner::{Planner, Unplannable};
pub use preflight::Preflight;
pub use rebase::Rebase;
pub use restart::Restart;
pub use rollout_undo::RolloutUndo;
pub use scrape::Scrape;
pub use set_image::SetImage;
pub use settle::Settle;
pub use spare_server::SpareServer;
pub use upgrade::{ConfigMap, Upgrade};
pub use wait::Wait;
pub(crate) use wait::measured_for;

registry::steps! {
    /// Runs the pre-flight DaemonSet until it is READY on as many nodes as the agents, and deletes it.
    preflight: Preflight,
    /// Exports the ConfigMap, rebases it onto the template of a version, and applies it.
    rebase: Rebase,
    /// Sets keys of the ConfigMap.
    edit_config: EditConfig,
    /// Applies the manifests of a version.
    upgrade: Upgrade,
    /// Sets the image of the agents' container.
    set_image: SetImage,
    /// Undoes the last rollout.
    rollout_undo: RolloutUndo,
    /// Restarts the agents as they are.
    restart: Restart,
    /// Measures without a change for a while.
    wait: Wait,
    /// Applies and deletes policies.
    apply_policy: ApplyPolicy,
    /// Writes a file on every node; the run keeps its content as the object `file-NAME`.
    place_file: PlaceFile,
    /// Runs a command in every agent's container.
    in_agents: InAgents,
    /// Lints the policies of the cluster, and files, against an upgrade.
    lint: Lint,
    /// Reads the agents' metrics.
    scrape: Scrape,
    /// Starts a command of the agents' image in a pod beside every agent.
    start_beside: StartBeside,
    /// Ends the command that was started under this name, and keeps its output as the object `said-NAME`.
    hear: Hear,
    /// Gives the identities of the kvstore the same numbers in the API server, from a pre-flight pod.
    migrate_identities: MigrateIdentities,
    /// Deletes the identities of the API server.
    clear_identities: ClearIdentities,
    /// Adds one server to the Service of all servers, or removes it.
    spare_server: SpareServer,
    /// Makes the pods that know names query the cluster's DNS for them.
    ask_names: AskNames,
    not in files:
    /// Measures on after a change, and keeps the subject's objects.
    Settle,
    /// Disturbs a node, for calibration.
    Inject,
}

/// Expected duration of a step that changes an object or two.
const SMALL_CHANGE: Duration = Duration::from_millis(300);

/// What each kind of step defines.
pub(crate) trait StepAction {
    /// Checks the step and adds what it does to the plan.
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable>;

    /// Carries it out.
    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done>;

    /// Its expected duration, for balancing shards; `last` when no step follows.
    fn expected(&self, _last: bool) -> Duration {
        SMALL_CHANGE
    }

    /// Whether it is part of an upgrade or leaves the cluster as it is, so that it may run on an existing cluster.
    fn suits_existing_clusters(&self) -> bool {
        true
    }
}

/// One planned step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name in the record.
    pub name: String,
    /// What it does.
    pub action: Action,
    /// The version that runs before it.
    pub from: Version,
    /// The version that it installs or checks; otherwise the one that runs.
    pub to: Version,
    /// The transition, where the step changes the agents: the part that is measured and judged.
    pub hop: Option<Hop>,
    /// The point at its end, where the subject's objects are kept.
    pub point: Option<String>,
    /// How long its rollout may take, where that is not the usual time.
    pub within: Option<Duration>,
    /// Whether the procedure ends here, without an error, when the step fails.
    pub may_fail: bool,
    /// Policies that change as soon as an agent is away.
    pub meanwhile: Option<ApplyPolicy>,
}

impl Step {
    /// A step while `version` runs.
    #[must_use]
    pub fn new(name: String, action: Action, version: Version) -> Self {
        Self {
            name,
            action,
            from: version.clone(),
            to: version,
            hop: None,
            point: None,
            within: None,
            may_fail: false,
            meanwhile: None,
        }
    }

    /// The same step, working with another version than the one that runs.
    #[must_use]
    pub fn onto(self, to: Version) -> Self {
        Self { to, ..self }
    }

    /// The same step, with the subject's objects kept at its end.
    #[must_use]
    pub fn keeping(self, point: &str) -> Self {
        Self { point: Some(point.to_owned()), ..self }
    }

    /// A change of the agents, and the measurement after it.
    #[must_use]
    pub fn change(hop: Hop, action: Action) -> [Self; 2] {
        let (name, point) = (hop.step(), hop.point());
        let settle = format!("settle on {}", hop.to);
        let settle = Self::new(settle, Action::Settle(Settle {}), hop.to.clone()).keeping(&point);
        let change = Self::new(name, action, hop.from.clone()).onto(hop.to.clone());
        [Self { hop: Some(hop), ..change }, settle]
    }

    /// A disturbance; `number` tells it from others.
    #[must_use]
    pub fn inject(number: usize, inject: Inject, version: Version) -> Self {
        Self::new(format!("{number}: {}, {}", inject.cause, inject.node), Action::Inject(inject), version)
    }

    /// Whether nothing changes while it runs.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self.action, Action::Settle(_) | Action::Wait(_))
    }

    /// Carries it out.
    pub(crate) async fn run(&self, context: &StepContext<'_>) -> anyhow::Result<Done> {
        match &self.meanwhile {
            None => self.action.run(self, context).await,
            Some(policies) => {
                let change = self.action.run(self, context);
                let (done, ()) = tokio::try_join!(change, policies.while_an_agent_is_away(context))?;
                Ok(done)
            }
        }
    }
}

/// The result of a step.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// The detail in the record.
    pub(crate) detail: Option<String>,
    /// What is kept with the subject's objects: name and content.
    pub(crate) keep: Option<(String, Value)>,
}

impl Done {
    /// Nothing to report.
    pub(crate) fn silent() -> Self {
        Self::default()
    }
}

impl From<String> for Done {
    fn from(detail: String) -> Self {
        Self { detail: Some(detail), keep: None }
    }
}

/// The names of the actions in scenario files.
fn names() -> impl Iterator<Item = String> {
    FIELDS.iter().map(|field| field.replace('_', "-"))
}

/// What is wrong with a step that has no action, or several.
pub(crate) fn one_action() -> String {
    let mut names: Vec<_> = names().collect();
    let last = names.pop().unwrap_or_default();
    format!("a step has exactly one action: {} or {last}", names.join(", "))
}

fn exactly_one(schema: &mut Schema) {
    let one_of: Vec<_> = names().map(|name| json!({"required": [name]})).collect();
    schema.insert("oneOf".to_owned(), Value::Array(one_of));
}
