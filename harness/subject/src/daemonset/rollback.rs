//! `kubectl rollout undo` of a DaemonSet: the template of the previous ControllerRevision is restored.
//!
//! Nothing else is: the ConfigMap, RBAC and CRDs stay as the upgrade left them.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use kube::api::{Api, ListParams, Patch, PatchParams};

use super::apply::MANAGER;
use super::error::{InstallationError, request};

/// Undoes the last rollout; returns the revision that it goes back to.
pub(crate) async fn undo(
    client: &kube::Client,
    namespace: &str,
    name: &str,
) -> Result<i64, InstallationError> {
    let refused = || request(format!("the rollout of DaemonSet {name} could not be undone"));
    let daemon_sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
    let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
    let current = daemon_sets.get(name).await.map_err(refused())?;
    let history = revisions.list(&ListParams::default()).await.map_err(refused())?;
    let previous = last_but_one(&current, history.items)
        .ok_or_else(|| InstallationError::NoEarlierRevision(name.to_owned()))?;
    // A revision's data is a strategic merge patch that replaces the pod template.
    let patch = previous.data.map_or(serde_json::Value::Null, |data| data.0);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    daemon_sets.patch(name, &params, &Patch::Strategic(patch)).await.map_err(refused())?;
    Ok(previous.revision)
}

fn last_but_one(daemon_set: &DaemonSet, all: Vec<ControllerRevision>) -> Option<ControllerRevision> {
    let uid = daemon_set.metadata.uid.as_deref()?;
    let owned = |revision: &ControllerRevision| {
        revision.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
    };
    let mut history: Vec<_> = all.into_iter().filter(owned).collect();
    history.sort_by_key(|revision| revision.revision);
    history.pop()?;
    history.pop()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;

    fn revision(number: i64, owner: &str) -> ControllerRevision {
        let mut revision = ControllerRevision { revision: number, ..ControllerRevision::default() };
        let owner = OwnerReference { uid: owner.to_owned(), ..OwnerReference::default() };
        revision.metadata.owner_references = Some(vec![owner]);
        revision
    }

    fn daemon_set() -> DaemonSet {
        let mut daemon_set = DaemonSet::default();
        daemon_set.metadata.uid = Some("mine".to_owned());
        daemon_set
    }

    #[test]
    fn goes_back_to_the_second_newest_of_its_own_revisions() {
        let all = vec![revision(3, "mine"), revision(9, "other"), revision(1, "mine"), revision(2, "mine")];
        assert_eq!(last_but_one(&daemon_set(), all).map(|r| r.revision), Some(2));
    }

    #[test]
    fn first_rollout_cannot_be_undone() {
        assert!(last_but_one(&daemon_set(), vec![revision(1, "mine")]).is_none());
    }
}
