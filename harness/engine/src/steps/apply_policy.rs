//! The step `apply-policy`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cluster::wait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// How long an agent may take to go away.
const AWAY: Duration = Duration::from_secs(120);

/// Policies to apply and delete, in the namespace of the probes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Policies")]
pub struct ApplyPolicy {
    /// At what moment.
    #[serde(default)]
    pub when: When,
    /// CiliumNetworkPolicy objects that are applied: the `spec` of each by its name.
    #[serde(default)]
    pub apply: BTreeMap<String, Value>,
    /// Names of those that are deleted afterwards.
    #[serde(default)]
    pub delete: Vec<String>,
}

/// The moment at which policies change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// After the step before.
    #[default]
    Now,
    /// During the next change: as soon as it has taken an agent away.
    AgentAway,
}

impl ApplyPolicy {
    async fn apply(&self, context: &StepContext<'_>) -> anyhow::Result<()> {
        let object = |name, spec| subject::cilium::policy(&context.namespace, name, spec);
        let applied: Vec<_> = self.apply.iter().map(|(name, spec)| object(name, spec)).collect();
        context.subject.apply(&applied).await?;
        let deleted: Vec<_> = self.delete.iter().map(|name| object(name, &Value::Null)).collect();
        Ok(context.subject.delete(&deleted).await?)
    }

    /// Changes the policies as soon as the change in progress has taken an agent away.
    pub(super) async fn while_an_agent_is_away(&self, context: &StepContext<'_>) -> anyhow::Result<()> {
        let ended = || context.observations.ended_agents();
        let before = ended();
        let probe = async || if ended() > before { Ok(()) } else { Err("no agent has ended".to_owned()) };
        wait::until("an agent to be away", AWAY, Duration::from_millis(10), probe).await?;
        self.apply(context).await
    }
}

impl fmt::Display for ApplyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applied = self.apply.keys().map(|name| format!("apply policy {name}"));
        let deleted = self.delete.iter().map(|name| format!("delete policy {name}"));
        f.write_str(&applied.chain(deleted).collect::<Vec<_>>().join(", "))
    }
}

impl StepAction for ApplyPolicy {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        if self.apply.is_empty() && self.delete.is_empty() {
            return Err(Unplannable::wrong("apply-policy names no policy"));
        }
        match self.when {
            When::Now => planner.push(self.to_string(), Action::ApplyPolicy(self.clone())),
            When::AgentAway => planner.during_next_change(self.clone())?,
        }
        Ok(())
    }

    async fn run(&self, _: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        self.apply(context).await.map(|()| Done::silent())
    }
}
