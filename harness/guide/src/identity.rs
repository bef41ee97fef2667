//! What `cilium preflight migrate-identity` will do with each identity. Pure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// First number of an identity that the cluster allocates itself.
pub const FIRST_ID: u32 = 256;
/// Last number of an identity that the cluster allocates itself.
pub const LAST_ID: u32 = 65535;

/// Identities by number; the value is the key, that is the sorted labels.
pub type Identities = BTreeMap<u32, String>;

/// What happens to one identity of the kvstore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Migration {
    /// Gets the same number as a CRD.
    Migrated {
        /// The number.
        id: u32,
        /// The labels.
        labels: String,
    },
    /// Has the same number as a CRD already.
    AlreadyMigrated {
        /// The number.
        id: u32,
        /// The labels.
        labels: String,
    },
    /// The number is taken by other labels: the labels get another one, and connections under policy break.
    Conflict {
        /// The number in the kvstore.
        old_id: u32,
        /// The number as a CRD.
        new_id: u32,
        /// The labels.
        labels: String,
        /// The labels that hold the number.
        holder: String,
        /// Whether the new number was there before.
        reused: bool,
    },
}

/// No number is left for an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no free identity from {FIRST_ID} to {LAST_ID} is left for {labels}: delete unused CiliumIdentity objects"
)]
pub struct NoFreeIdentity {
    /// The labels without a number.
    pub labels: String,
}

/// Plans the migration of the kvstore's identities to CRDs, by number.
///
/// Conflicts come second, as in the command: a number is given away only after all others kept theirs.
/// The command picks new numbers at random; `choose` stands for that and gets the numbers in use.
///
/// # Errors
/// Fails when no number is left.
pub fn plan_migration(
    kvstore: &Identities,
    crd: &Identities,
    mut choose: impl FnMut(&Identities) -> Option<u32>,
) -> Result<Vec<Migration>, NoFreeIdentity> {
    let mut after = crd.clone();
    let mut outcomes = BTreeMap::new();
    for (&id, labels) in kvstore {
        match crd.get(&id) {
            None => {
                after.insert(id, labels.clone());
                outcomes.insert(id, Migration::Migrated { id, labels: labels.clone() });
            }
            Some(holder) if holder == labels => {
                outcomes.insert(id, Migration::AlreadyMigrated { id, labels: labels.clone() });
            }
            Some(_) => {}
        }
    }
    for (&old_id, labels) in kvstore {
        let Some(holder) = crd.get(&old_id).filter(|holder| *holder != labels) else { continue };
        let existing = after.iter().find(|(_, other)| *other == labels).map(|(id, _)| *id);
        let (new_id, reused) = match existing {
            Some(id) => (id, true),
            None => (choose(&after).ok_or_else(|| NoFreeIdentity { labels: labels.clone() })?, false),
        };
        after.insert(new_id, labels.clone());
        let (labels, holder) = (labels.clone(), holder.clone());
        outcomes.insert(old_id, Migration::Conflict { old_id, new_id, labels, holder, reused });
    }
    Ok(outcomes.into_values().collect())
}

/// Returns the CRD identities after a migration.
pub fn migrated(crd: &Identities, plan: &[Migration]) -> Identities {
    let mut after = crd.clone();
    for migration in plan {
        let (id, labels) = match migration {
            Migration::Migrated { id, labels } | Migration::AlreadyMigrated { id, labels } => (id, labels),
            Migration::Conflict { new_id, labels, .. } => (new_id, labels),
        };
        after.insert(*id, labels.clone());
    }
    after
}

/// Chooses the lowest free number.
pub fn lowest_free(used: &Identities) -> Option<u32> {
    (FIRST_ID..=LAST_ID).find(|id| !used.contains_key(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn empire(class: &str, org: &str) -> String {
        format!(
            "k8s:class={class};k8s:io.cilium.k8s.policy.cluster=default;\
             k8s:io.cilium.k8s.policy.serviceaccount=default;k8s:io.kubernetes.pod.namespace=default;k8s:org={org};"
        )
    }

    #[test]
    fn reproduces_the_guides_example() {
        let (tiefighter, deathstar) = (empire("tiefighter", "empire"), empire("deathstar", "empire"));
        let xwing = empire("xwing", "alliance");
        let kvstore = Identities::from([
            (34815, tiefighter.clone()),
            (11730, deathstar.clone()),
            (17003, xwing.clone()),
        ]);
        let crd = Identities::from([(11730, "k8s:other=x;".to_owned()), (17003, xwing.clone())]);
        let plan = plan_migration(&kvstore, &crd, |_| Some(17281)).unwrap();
        let holder = "k8s:other=x;".to_owned();
        assert_eq!(
            plan,
            [
                Migration::Conflict {
                    old_id: 11730,
                    new_id: 17281,
                    labels: deathstar,
                    holder,
                    reused: false
                },
                Migration::AlreadyMigrated { id: 17003, labels: xwing },
                Migration::Migrated { id: 34815, labels: tiefighter },
            ]
        );
    }

    #[test]
    fn says_when_no_number_is_left() {
        let kvstore = Identities::from([(300, "a".to_owned())]);
        let crd = Identities::from([(300, "b".to_owned())]);
        assert_eq!(plan_migration(&kvstore, &crd, |_| None).unwrap_err().labels, "a");
    }

    /// A store in which no two numbers have the same labels.
    fn store() -> impl Strategy<Value = Identities> {
        prop::collection::btree_map(FIRST_ID..FIRST_ID + 12, "[a-h]", 0..8).prop_map(|map| {
            let mut seen = std::collections::BTreeSet::new();
            map.into_iter().filter(|(_, labels)| seen.insert(labels.clone())).collect()
        })
    }

    proptest! {
        #[test]
        fn a_second_run_changes_nothing(kvstore in store(), crd in store()) {
            let first = plan_migration(&kvstore, &crd, lowest_free).unwrap();
            prop_assert_eq!(first.len(), kvstore.len());
            let after = migrated(&crd, &first);
            prop_assert!(crd.iter().all(|(id, labels)| after.get(id) == Some(labels)), "an identity was overwritten");
            prop_assert!(kvstore.values().all(|labels| after.values().any(|other| other == labels)));
            let second = plan_migration(&kvstore, &after, lowest_free).unwrap();
            prop_assert_eq!(migrated(&after, &second), after);
            let moved = |migration: &Migration| matches!(migration, Migration::Migrated { .. } | Migration::Conflict { reused: false, .. });
            prop_assert!(!second.iter().any(moved), "{:?}", second);
        }
    }
}
