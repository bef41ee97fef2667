//! The steps `migrate-identities` and `clear-identities`.

use std::collections::BTreeMap;

use model::{Change, Role};
use report::event::Observation;
use schemars::JsonSchema;
use serde::Deserialize;
use subject::cilium::{Fate, Migrated};

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// Written `{}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateIdentities {}

/// Written `{}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearIdentities {}

impl StepAction for MigrateIdentities {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        planner.push("migrate identities", Action::MigrateIdentities(self.clone()));
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let chart = &context.release(&step.to)?.chart;
        let migrated = context.subject(step).migrate_identities(chart).await?;
        let at_ns = probe::clock::now_ns();
        for identity in &migrated {
            context.observations.observe(at_ns, observation(identity));
        }
        Ok(summary(&migrated).into())
    }
}

impl StepAction for ClearIdentities {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        planner.push("clear identities", Action::ClearIdentities(self.clone()));
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        context.subject(step).clear_identities().await?;
        Ok(Done::silent())
    }

    fn suits_existing_clusters(&self) -> bool {
        false
    }
}

fn observation(migrated: &Migrated) -> Observation {
    let detail = match migrated.fate {
        Fate::Renumbered(new) => Some(format!("now {new}")),
        Fate::Migrated | Fate::AlreadyMigrated => None,
    };
    Observation {
        node: None,
        role: Role::Identity,
        object: format!("identity {}", migrated.identity),
        change: change(migrated.fate),
        detail,
    }
}

fn change(fate: Fate) -> Change {
    match fate {
        Fate::Migrated => Change::Migrated,
        Fate::AlreadyMigrated => Change::AlreadyMigrated,
        Fate::Renumbered(_) => Change::Renumbered,
    }
}

fn summary(migrated: &[Migrated]) -> String {
    let mut counts = BTreeMap::new();
    for identity in migrated {
        *counts.entry(change(identity.fate)).or_insert(0_usize) += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(change, count)| format!("{count} {change}")).collect();
    if counts.is_empty() { "no identities".to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_has_its_word_and_is_counted() {
        let migrated = |identity, fate| Migrated { identity, fate };
        let all = [
            migrated(300, Fate::Migrated),
            migrated(301, Fate::Migrated),
            migrated(302, Fate::AlreadyMigrated),
            migrated(303, Fate::Renumbered(900)),
        ];
        assert_eq!(summary(&all), "2 migrated, 1 already-migrated, 1 renumbered");
        assert_eq!(summary(&[]), "no identities");
        let seen = observation(&all[3]);
        assert_eq!((seen.change, seen.detail.as_deref()), (Change::Renumbered, Some("now 900")));
    }
}
