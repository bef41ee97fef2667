//! A DaemonSet on a cluster, of any component: its steps know no names but [`Names`].

mod agents;
mod apply;
mod beside;
mod config_map;
mod error;
mod exec;
mod obstacle;
mod pod;
mod rollback;
mod rollout;
mod scrape;
mod snapshot;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use serde_json::json;

pub use config_map::parse_config_map;
pub use error::InstallationError;
pub use exec::Output;
pub use obstacle::Obstacle;
pub use snapshot::Snapshot;

pub(crate) use apply::{create, delete, remaining};
pub(crate) use error::request;
pub(crate) use exec::one as exec_in_pod;
pub(crate) use rollout::add_unready;

use crate::names::Names;
use crate::source::{Chart, Parts};
use apply::MANAGER;

/// A component on one cluster.
#[derive(Clone)]
pub struct Installation {
    pub(crate) client: kube::Client,
    /// The names of its objects.
    pub(crate) names: Names,
    /// Deadline of every rollout.
    pub(crate) deadline: Duration,
    /// The run that temporary objects are labelled with.
    pub(crate) run: Option<String>,
}

impl Installation {
    /// A component with these names on a cluster; every rollout has this deadline.
    #[must_use]
    pub fn new(client: kube::Client, names: Names, deadline: Duration) -> Self {
        Self { client, names, deadline, run: None }
    }

    /// The names of its objects.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The same installation, with another deadline for rollouts.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The same installation; temporary objects carry the label [`RUN_LABEL`](crate::RUN_LABEL) with this id.
    #[must_use]
    pub fn of_run(self, id: &str) -> Self {
        Self { run: Some(id.to_owned()), ..self }
    }

    /// Installs a version: everything that its chart renders, with `config` merged into the chart's ConfigMap.
    ///
    /// # Errors
    /// When the chart cannot be rendered, an object is refused, or the agents do not become ready.
    pub async fn install(
        &self,
        chart: &Chart,
        config: &BTreeMap<String, String>,
    ) -> Result<(), InstallationError> {
        let mut objects = chart.render(Parts::All).await?;
        for object in &mut objects {
            if object.metadata.name.is_some() && object.metadata.name == self.names.config_map {
                for (key, value) in config {
                    object.data["data"][key] = json!(value);
                }
            }
        }
        self.apply(&objects).await?;
        self.rollout_status().await
    }

    /// Upgrades to another version by applying the rendered objects.
    ///
    /// # Errors
    /// When an object is refused, or the rollout does not end.
    pub async fn upgrade(&self, rendered: &[DynamicObject]) -> Result<(), InstallationError> {
        self.apply(rendered).await?;
        self.rollout_status().await
    }

    /// Restarts the agents as they are, as `kubectl rollout restart` does; `at` distinguishes this restart from others.
    ///
    /// # Errors
    /// When the DaemonSet cannot be changed or the rollout does not end.
    pub async fn restart(&self, at: &str) -> Result<(), InstallationError> {
        let Names { daemon_set, .. } = &self.names;
        let what = format!("DaemonSet {daemon_set} could not be restarted");
        let annotations = json!({"kubectl.kubernetes.io/restartedAt": at});
        let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        self.daemon_sets()
            .patch(daemon_set, &params(), &Patch::Strategic(patch))
            .await
            .map_err(request(what))?;
        self.rollout_status().await
    }

    /// Upgrades to another patch version of the same minor: `kubectl set image` on the agents' container.
    ///
    /// # Errors
    /// When the DaemonSet cannot be changed or the rollout does not end.
    pub async fn set_image(&self, image: &str) -> Result<(), InstallationError> {
        let Names { daemon_set, container, .. } = &self.names;
        let what = format!("the image of DaemonSet {daemon_set} could not be set");
        let patch =
            json!({"spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}}});
        self.daemon_sets()
            .patch(daemon_set, &params(), &Patch::Strategic(patch))
            .await
            .map_err(request(what))?;
        self.rollout_status().await
    }

    /// Undoes the last rollout of the agents, as `kubectl rollout undo` does, and waits for it.
    ///
    /// # Errors
    /// When there is nothing to go back to, or the rollout does not end.
    pub async fn rollout_undo(&self) -> Result<i64, InstallationError> {
        let revision = rollback::undo(&self.client, &self.names.namespace, &self.names.daemon_set).await?;
        self.rollout_status().await?;
        Ok(revision)
    }

    /// Waits until the agents, the proxy and the operator have rolled out, as far as they exist.
    ///
    /// # Errors
    /// When they have not before the deadline; the message has the last state.
    pub async fn rollout_status(&self) -> Result<(), InstallationError> {
        let Names { namespace, daemon_set, proxy, operator, .. } = &self.names;
        let daemon_sets = self.daemon_sets();
        rollout::daemon_set(&daemon_sets, daemon_set, self.deadline).await?;
        if let Some(proxy) = proxy {
            let found = daemon_sets.get_opt(proxy).await;
            if found.map_err(request(format!("DaemonSet {proxy} could not be read")))?.is_some() {
                rollout::daemon_set(&daemon_sets, proxy, self.deadline).await?;
            }
        }
        if let Some(operator) = operator {
            let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
            let found = deployments.get_opt(operator).await;
            if found.map_err(request(format!("Deployment {operator} could not be read")))?.is_some() {
                rollout::deployment(&deployments, operator, self.deadline).await?;
            }
        }
        Ok(())
    }

    /// Waits until a Deployment has rolled out, which needs the pod network.
    ///
    /// # Errors
    /// When it has not before the deadline; the message has the last state.
    pub async fn deployment_status(&self, namespace: &str, name: &str) -> Result<(), InstallationError> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        Ok(rollout::deployment(&api, name, self.deadline).await?)
    }

    /// Applies objects that do not come from a chart, such as policies.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn apply(&self, objects: &[DynamicObject]) -> Result<(), InstallationError> {
        apply::apply(&self.client, &self.names.namespace, objects).await
    }

    /// Deletes objects that do not come from a chart; one that does not exist is no error.
    ///
    /// # Errors
    /// When one cannot be deleted.
    pub async fn delete(&self, objects: &[DynamicObject]) -> Result<(), InstallationError> {
        delete(&self.client, &self.names.namespace, objects).await
    }

    /// Every policy of the cluster, as a manifest.
    ///
    /// # Errors
    /// When the component has no kind of policies, or they cannot be listed.
    pub async fn policies(&self) -> Result<String, InstallationError> {
        let (group, version, kind) = self.names.policy.ok_or_else(|| self.lacks("kind of policies"))?;
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        let mut list =
            api.list(&ListParams::default()).await.map_err(request("the policies could not be listed"))?;
        list.items.sort_by_key(|policy| policy.metadata.creation_timestamp.as_ref().map(|time| time.0));
        let documents = list.items.into_iter().map(|mut policy| {
            policy.metadata.managed_fields = None;
            policy.types = Some(TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
            json!(policy).to_string()
        });
        Ok(documents.collect::<Vec<_>>().join("\n---\n"))
    }

    /// The agents' DaemonSet as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn daemon_set(&self) -> Result<DaemonSet, InstallationError> {
        let Names { daemon_set, .. } = &self.names;
        let what = format!("DaemonSet {daemon_set} could not be read");
        self.daemon_sets().get(daemon_set).await.map_err(request(what))
    }

    fn lacks(&self, object: &'static str) -> InstallationError {
        InstallationError::NoSuchObject { component: self.names.name.clone(), object }
    }

    pub(crate) fn daemon_sets(&self) -> Api<DaemonSet> {
        Api::namespaced(self.client.clone(), &self.names.namespace)
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}
