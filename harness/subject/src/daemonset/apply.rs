//! Applying, creating and deleting rendered objects.

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::Scope;

use super::error::{InstallationError, request};

/// Field manager of everything that is applied.
pub(crate) const MANAGER: &str = "seatrial";

/// The API and the name of an object.
struct Target {
    api: Api<DynamicObject>,
    kind: String,
    name: String,
    shown: String,
}

impl Target {
    async fn of(
        client: &kube::Client,
        namespace: &str,
        object: &DynamicObject,
    ) -> Result<Self, InstallationError> {
        let types = object.types.as_ref().ok_or(InstallationError::IncompleteObject("kind"))?;
        let name = object.metadata.name.clone().ok_or(InstallationError::IncompleteObject("name"))?;
        let kind = GroupVersionKind::try_from(types)
            .map_err(|_unreadable| InstallationError::IncompleteObject("apiVersion"))?;
        let known = object.metadata.namespace.is_some() || is_cluster_wide(&kind.kind);
        let (resource, default) = match known {
            true => (ApiResource::from_gvk(&kind), None),
            // The API server knows whether its kind is namespaced.
            false => {
                let found = kube::discovery::pinned_kind(client, &kind).await;
                let what = format!("{} {name} could not be looked up", kind.kind);
                let (resource, capabilities) = found.map_err(request(what))?;
                (resource, (capabilities.scope == Scope::Namespaced).then_some(namespace))
            }
        };
        let (api, shown) = match object.metadata.namespace.as_deref().or(default) {
            Some(namespace) => {
                (Api::namespaced_with(client.clone(), namespace, &resource), format!("{namespace}/{name}"))
            }
            None => (Api::all_with(client.clone(), &resource), name.clone()),
        };
        Ok(Self { api, kind: kind.kind, name, shown })
    }

    fn refused(&self, verb: &str) -> impl FnOnce(kube::Error) -> InstallationError + use<> {
        request(format!("{} {} could not be {verb}", self.kind, self.shown))
    }
}

/// Whether a kind is one of the cluster-wide kinds that most components have.
fn is_cluster_wide(kind: &str) -> bool {
    const KINDS: [&str; 10] = [
        "APIService",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PriorityClass",
        "RuntimeClass",
        "ValidatingWebhookConfiguration",
    ];
    KINDS.contains(&kind)
}

/// Applies objects in order, as `kubectl apply --server-side` does; `namespace` is the default namespace.
pub(crate) async fn apply(
    client: &kube::Client,
    namespace: &str,
    objects: &[DynamicObject],
) -> Result<(), InstallationError> {
    for object in objects {
        let target = Target::of(client, namespace, object).await?;
        let params = PatchParams::apply(MANAGER).force();
        target
            .api
            .patch(&target.name, &params, &Patch::Apply(object))
            .await
            .map_err(target.refused("applied"))?;
    }
    Ok(())
}

/// Creates objects, as `kubectl create` does, and returns those that did not exist. An existing one is an error if its
/// name begins with `own`, and is left alone otherwise. After an error, the created ones are deleted.
pub(crate) async fn create(
    client: &kube::Client,
    namespace: &str,
    objects: &[DynamicObject],
    own: &str,
) -> Result<Vec<DynamicObject>, InstallationError> {
    let mut created = Vec::new();
    for object in objects {
        let target = Target::of(client, namespace, object).await?;
        match target.api.create(&PostParams::default(), object).await {
            Ok(_) => created.push(object.clone()),
            Err(kube::Error::Api(status)) if status.is_already_exists() && !target.name.starts_with(own) => {}
            Err(e) => {
                // The first error is the one to report.
                let _left = delete(client, namespace, &created).await;
                return Err(target.refused("created")(e));
            }
        }
    }
    Ok(created)
}

/// The first of some objects that still exists.
pub(crate) async fn remaining(
    client: &kube::Client,
    namespace: &str,
    objects: &[DynamicObject],
) -> Result<Option<String>, InstallationError> {
    for object in objects {
        let target = Target::of(client, namespace, object).await?;
        if target.api.get_opt(&target.name).await.map_err(target.refused("read"))?.is_some() {
            return Ok(Some(format!("{} {}", target.kind, target.shown)));
        }
    }
    Ok(None)
}

/// Deletes objects, last first; one that does not exist is no error.
pub(crate) async fn delete(
    client: &kube::Client,
    namespace: &str,
    objects: &[DynamicObject],
) -> Result<(), InstallationError> {
    for object in objects.iter().rev() {
        let target = Target::of(client, namespace, object).await?;
        match target.api.delete(&target.name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(e) => return Err(target.refused("deleted")(e)),
        }
    }
    Ok(())
}
