//! Removes what a run created in an existing cluster.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};
use serde::de::DeserializeOwned;

use super::access::Access;
use super::error::ExistingError;
use crate::wait;

/// Label with the id of the run to which an object belongs.
pub const RUN_LABEL: &str = "seatrial.dev/run";
/// How long the removal of a namespace may take.
const REMOVED: Duration = Duration::from_secs(60);

/// Removes what a run created: its pre-flight check, where that is left, and its namespace.
pub(super) async fn remove(access: &Access, client: &Client, id: &str) -> Result<(), ExistingError> {
    if access.upgrades {
        let swept = remove_preflight(client, id).await;
        let (context, id) = (access.context.clone(), id.to_owned());
        swept.map_err(|source| ExistingError::Preflight { id, context, source: Box::new(source) })?;
    }
    remove_namespace(access, client, id).await
}

/// Removes the namespace of a run, unless it belongs to another one, and waits until it is gone.
async fn remove_namespace(access: &Access, client: &Client, id: &str) -> Result<(), ExistingError> {
    let (namespace, context) = (&access.namespace, &access.context);
    let api: Api<Namespace> = Api::all(client.clone());
    let refused = |source| ExistingError::Namespace {
        namespace: namespace.clone(),
        context: context.clone(),
        source: Box::new(source),
    };
    let Some(found) = api.get_opt(namespace).await.map_err(refused)? else { return Ok(()) };
    let owner = found.metadata.labels.as_ref().and_then(|labels| labels.get(RUN_LABEL));
    if owner.map(String::as_str) != Some(id) {
        let (namespace, context, id) = (namespace.clone(), context.clone(), id.to_owned());
        return Err(ExistingError::Foreign { namespace, context, id });
    }
    // The namespace that was checked, and not one that got its name since.
    let this = DeleteParams {
        preconditions: Some(Preconditions { uid: found.metadata.uid, resource_version: None }),
        ..Default::default()
    };
    match api.delete(namespace, &this).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        deleted => drop(deleted.map_err(refused)?),
    }
    let probe = async || match api.get_opt(namespace).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err("it still exists; one of its pods may not end".to_owned()),
        Err(e) => Err(e.to_string()),
    };
    let condition = format!("namespace {namespace} to be gone");
    Ok(wait::until(&condition, REMOVED, Duration::from_millis(100), probe).await?)
}

/// Deletes the objects with the id of a run, of the kinds that a pre-flight check consists of.
async fn remove_preflight(client: &Client, id: &str) -> kube::Result<()> {
    let of_run = ListParams::default().labels(&format!("{RUN_LABEL}={id}"));
    let (client, namespace) = (client.clone(), "kube-system");
    delete_all(&Api::<DaemonSet>::namespaced(client.clone(), namespace), &of_run).await?;
    delete_all(&Api::<Deployment>::namespaced(client.clone(), namespace), &of_run).await?;
    delete_all(&Api::<ServiceAccount>::namespaced(client.clone(), namespace), &of_run).await?;
    delete_all(&Api::<ClusterRoleBinding>::all(client.clone()), &of_run).await?;
    delete_all(&Api::<ClusterRole>::all(client), &of_run).await
}

async fn delete_all<K>(api: &Api<K>, which: &ListParams) -> kube::Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    api.delete_collection(&DeleteParams::default(), which).await.map(drop)
}
