//! Which policies are in force on this node: objects in the order of their creation, then those of `cilium policy import`.
//! A policy that the node cannot hold or parse is refused as a whole, and the status of its object reports it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Agent;
use super::cluster::policy_kind;
use crate::behaviour::fqdn::{Names, NoNames};
use crate::behaviour::prefix_lengths::{Held, PrefixError};
use crate::chain;
use crate::policy::model::{Policy, PolicyError};
use crate::policy::resolve::{self, ResolveError};
use crate::wait::pause;

const RETRY: Duration = Duration::from_millis(500);

/// A policy that is not imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    /// Its form.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Its values.
    #[error(transparent)]
    Value(#[from] ResolveError),
    /// Its prefixes.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// Its names.
    #[error(transparent)]
    Names(#[from] NoNames),
}

/// Namespace and name of a policy's object.
type Name = (String, String);

/// What was imported.
pub(super) struct Imports {
    /// What the node holds without any policy.
    empty: Held,
    /// What the version makes of names.
    names: Names,
    by_command: Mutex<Vec<Policy>>,
    /// Why objects are not enforced.
    refused: watch::Sender<BTreeMap<Name, String>>,
}

impl Imports {
    /// Nothing yet.
    pub(super) fn new(empty: Held, names: Names) -> Self {
        Self { empty, names, by_command: Mutex::default(), refused: watch::Sender::default() }
    }

    fn by_command(&self) -> MutexGuard<'_, Vec<Policy>> {
        self.by_command.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The policies that can be enforced, and what the node holds with them.
    fn of(&self, mut objects: Vec<Arc<DynamicObject>>) -> (Vec<Policy>, Held) {
        let made = |object: &DynamicObject| object.metadata.creation_timestamp.as_ref().map(|time| time.0);
        objects.sort_by_key(|object| (made(object), name(object)));
        let mut held = self.empty.clone();
        let mut refused = BTreeMap::new();
        let mut policies = Vec::new();
        for object in &objects {
            let read = Policy::from_object(object).map_err(ImportError::from);
            match read.and_then(|policy| self.admit(policy, &mut held)) {
                Ok(policy) => policies.push(policy),
                Err(error) => drop(refused.insert(name(object), chain(&error))),
            }
        }
        let by_command = self.by_command();
        policies.extend(by_command.iter().filter_map(|policy| self.admit(policy.clone(), &mut held).ok()));
        self.refused.send_if_modified(|known| {
            for (policy, reason) in refused.iter().filter(|(policy, _)| !known.contains_key(*policy)) {
                tracing::error!(?policy, reason, "cannot import policy");
            }
            let changed = *known != refused;
            *known = refused;
            changed
        });
        (policies, held)
    }

    fn admit(&self, policy: Policy, held: &mut Held) -> Result<Policy, ImportError> {
        let policy = self.names.understand(policy)?;
        resolve::check(&policy)?;
        held.add(&policy)?;
        Ok(policy)
    }
}

fn name(object: &DynamicObject) -> Name {
    (object.namespace().unwrap_or_default(), object.name_any())
}

impl Agent {
    /// The policies in force, with the addresses of names.
    pub(super) fn policies(&self) -> Vec<Policy> {
        let mut policies = self.imports.of(self.cluster.policies()).0;
        self.names.generate(&mut policies);
        policies
    }

    /// Imports rules until the agent ends, as upstream's API does; returns the number of the change.
    pub(super) fn import(&self, rules: &Value) -> Result<u64, ImportError> {
        let policy = Policy::from_rules(rules)?;
        let (_, mut held) = self.imports.of(self.cluster.policies());
        let policy = self.imports.admit(policy, &mut held)?;
        self.imports.by_command().push(policy);
        Ok(self.changed())
    }

    /// Writes into the status of objects that this node does not enforce them, and later that it does.
    pub(super) async fn keep_reporting_policies(&self, node: &str) {
        let mut refused = self.imports.refused.subscribe();
        let mut said = BTreeMap::new();
        loop {
            let now = refused.borrow_and_update().clone();
            match report(&self.client, node, &said, &now).await {
                Ok(()) => {
                    said = now;
                    if refused.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "the status of policies could not be written, retrying"
                    );
                    pause(RETRY).await;
                }
            }
        }
    }
}

/// Writes what has changed.
async fn report(
    client: &Client,
    node: &str,
    said: &BTreeMap<Name, String>,
    now: &BTreeMap<Name, String>,
) -> Result<(), kube::Error> {
    for ((namespace, name), status) in statuses(said, now) {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &policy_kind());
        let patch = Patch::Merge(json!({"status": {"nodes": {node: status}}}));
        match api.patch_status(&name, &PatchParams::default(), &patch).await {
            Ok(_) => {}
            // It was deleted meanwhile.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn statuses(said: &BTreeMap<Name, String>, now: &BTreeMap<Name, String>) -> Vec<(Name, Value)> {
    let refused = now.iter().filter(|(name, reason)| said.get(*name) != Some(reason));
    let refused = refused.map(|(name, reason)| (name.clone(), json!({"ok": false, "error": reason})));
    let imported = said.keys().filter(|name| !now.contains_key(*name));
    refused.chain(imported.map(|name| (name.clone(), json!({"ok": true, "error": null})))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::config::Settings;
    use crate::behaviour::prefix_lengths::{Counted, PrefixLengths};

    fn imports() -> Imports {
        let lengths = PrefixLengths { max: 5, counted: Counted::All };
        Imports::new(lengths.on_kernel(&Settings::default(), "4.9").unwrap(), Names::default())
    }

    fn object(name: &str, made: &str, cidrs: &[&str]) -> Arc<DynamicObject> {
        let object = json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
            "metadata": {"name": name, "namespace": "shop", "creationTimestamp": made},
            "spec": {"endpointSelector": {}, "egress": [{"toCIDR": cidrs}]},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn the_older_policy_is_held_and_the_newer_is_refused_whatever_the_order() {
        let imports = imports();
        let old = object("z-old", "2026-01-01T00:00:00Z", &["10.0.0.0/9", "10.0.0.0/10"]);
        let new = object("a-new", "2026-01-02T00:00:00Z", &["10.0.0.0/11"]);
        for objects in [vec![old.clone(), new.clone()], vec![new, old.clone()]] {
            assert_eq!(imports.of(objects).0.len(), 1);
            let refused = imports.refused.borrow().clone();
            let expected = "Adding specified prefixes would result in too many prefix lengths (current: 5, result: 6, max: 5)";
            assert_eq!(refused, BTreeMap::from([(("shop".into(), "a-new".into()), expected.into())]));
        }
        imports.of(vec![old]);
        assert!(imports.refused.borrow().is_empty());
    }

    #[test]
    fn policies_of_the_command_count_as_well() {
        let imports = imports();
        let rules = json!([{"endpointSelector": {}, "egress": [{"toCIDR": ["10.0.0.0/9"]}]}]);
        imports.by_command().push(Policy::from_rules(&rules).unwrap());
        let (policies, mut held) = imports.of(vec![object("p", "2026-01-01T00:00:00Z", &["10.0.0.0/10"])]);
        assert_eq!(policies.len(), 2);
        assert!(imports.admit(policies[0].clone(), &mut held).is_ok());
        let more = Policy::from_object(&object("q", "2026-01-01T00:00:00Z", &["10.0.0.0/11"])).unwrap();
        assert!(imports.admit(more, &mut held).is_err());
    }

    #[test]
    fn the_status_says_what_changed() {
        let name = |name: &str| ("shop".to_owned(), name.to_owned());
        let said = BTreeMap::from([(name("a"), "why".to_owned()), (name("b"), "why".to_owned())]);
        let now = BTreeMap::from([(name("a"), "why".to_owned()), (name("c"), "too".to_owned())]);
        assert_eq!(
            statuses(&said, &now),
            [
                (name("c"), json!({"ok": false, "error": "too"})),
                (name("b"), json!({"ok": true, "error": null}))
            ]
        );
    }
}
