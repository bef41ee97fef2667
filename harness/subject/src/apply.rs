//! Applying, creating and deleting rendered objects.

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::Scope;

/// Field manager of everything that is applied.
pub(crate) const MANAGER: &str = "seatrial";

/// An object could not be applied, created or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused it.
    #[error("{kind} {name} could not be {verb}")]
    Refused {
        /// Kind.
        kind: String,
        /// Name, with its namespace.
        name: String,
        /// What was to be done.
        verb: &'static str,
        /// Its answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// It has no kind or no name.
    #[error("a rendered object has no {0}")]
    Incomplete(&'static str),
}

/// An object's API, and its name.
struct Target {
    api: Api<DynamicObject>,
    kind: String,
    name: String,
    shown: String,
}

impl Target {
    async fn of(client: &kube::Client, namespace: &str, object: &DynamicObject) -> Result<Self, ApplyError> {
        let types = object.types.as_ref().ok_or(ApplyError::Incomplete("kind"))?;
        let name = object.metadata.name.clone().ok_or(ApplyError::Incomplete("name"))?;
        let kind =
            GroupVersionKind::try_from(types).map_err(|_unreadable| ApplyError::Incomplete("apiVersion"))?;
        let known = object.metadata.namespace.is_some() || is_cluster_wide(&kind.kind);
        let (resource, default) = match known {
            true => (ApiResource::from_gvk(&kind), None),
            // The API server knows whether it is of a kind that is in namespaces.
            false => {
                let found = kube::discovery::pinned_kind(client, &kind).await;
                let (resource, capabilities) = found.map_err(|source| ApplyError::Refused {
                    kind: kind.kind.clone(),
                    name: name.clone(),
                    verb: "looked up",
                    source: Box::new(source),
                })?;
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

    fn refused(&self, verb: &'static str) -> impl FnOnce(kube::Error) -> ApplyError {
        let (kind, name) = (self.kind.clone(), self.shown.clone());
        move |source| ApplyError::Refused { kind, name, verb, source: Box::new(source) }
    }
}

/// Whether a kind is one of those in no namespace that most components bring.
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

/// Applies objects in order, as `kubectl apply --server-side` does; those that name no namespace go into `namespace`.
pub(crate) async fn apply(
    client: &kube::Client,
    namespace: &str,
    objects: &[DynamicObject],
) -> Result<(), ApplyError> {
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

/// Creates objects, as `kubectl create` does, and returns those that were not there. One that is there is refused if its
/// name begins with `own`, and is left alone otherwise. When one is refused, those before it are deleted again.
pub(crate) async fn create(
    client: &kube::Client,
    namespace: &str,
    objects: &[DynamicObject],
    own: &str,
) -> Result<Vec<DynamicObject>, ApplyError> {
    let mut created = Vec::new();
    for object in objects {
        let target = Target::of(client, namespace, object).await?;
        match target.api.create(&PostParams::default(), object).await {
            Ok(_) => created.push(object.clone()),
            Err(kube::Error::Api(status)) if status.is_already_exists() && !target.name.starts_with(own) => {}
            Err(e) => {
                // What was refused is what is said, whatever comes of the rest.
                let _left = delete(client, namespace, &created).await;
                return Err(target.refused("created")(e));
            }
        }
    }
    Ok(created)
}

/// Names the first of some objects that is still there.
pub(crate) async fn remaining(
    client: &kube::Client,
    namespace: &str,
    objects: &[DynamicObject],
) -> Result<Option<String>, ApplyError> {
    for object in objects {
        let target = Target::of(client, namespace, object).await?;
        if target.api.get_opt(&target.name).await.map_err(target.refused("read"))?.is_some() {
            return Ok(Some(format!("{} {}", target.kind, target.shown)));
        }
    }
    Ok(None)
}

/// Deletes objects, last first; one that is gone already is fine.
pub(crate) async fn delete(
    client: &kube::Client,
    namespace: &str,
    objects: &[DynamicObject],
) -> Result<(), ApplyError> {
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
