//! The guide's steps, one function each.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::wait::Timeout;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use serde_json::json;

use crate::apply::{self, ApplyError, MANAGER};
use crate::beside::{self, BesideError};
use crate::chart::{Chart, ChartError};
use crate::config;
use crate::exec::{self, ExecError, Said};
use crate::layout::Parts;
use crate::rollback::{self, UndoError};
use crate::scrape::{self, ScrapeError};
use crate::{CONFIG_MAP, NAMESPACE, Names, rollout};

/// A step of the guide that failed.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// The chart could not be rendered.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// An object was refused.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The rollout could not be undone.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// A command could not be run inside of the agents.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// Pods beside the agents could not be made, or not be heard.
    #[error(transparent)]
    Beside(#[from] BesideError),
    /// The agents' metrics could not be read.
    #[error(transparent)]
    Scrape(#[from] ScrapeError),
    /// A condition did not come true.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// A command of the pre-flight check failed.
    #[error("`{command}` failed in the pre-flight check: {said}")]
    Command {
        /// The command.
        command: String,
        /// The last that it said, or why it could not be run.
        said: String,
    },
    /// A text is no manifest of the ConfigMap.
    #[error("the ConfigMap cannot be used: {0}")]
    Manifest(String),
    /// An object of the subject could not be read or changed.
    #[error("{what}")]
    Request {
        /// What was being done.
        what: String,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
}

pub(crate) fn request(what: impl Into<String>) -> impl FnOnce(kube::Error) -> SubjectError {
    let what = what.into();
    move |source| SubjectError::Request { what, source: Box::new(source) }
}

/// The subject on one cluster.
#[derive(Clone)]
pub struct Subject {
    pub(crate) client: kube::Client,
    /// What its objects are called.
    pub(crate) names: Names,
    /// How long a rollout may take.
    pub(crate) deadline: Duration,
    /// The run whose objects those of pre-flight checks are.
    pub(crate) run: Option<String>,
}

impl Subject {
    /// The subject of a cluster, with Cilium's names; every rollout is waited for at most `deadline`.
    #[must_use]
    pub fn new(client: kube::Client, deadline: Duration) -> Self {
        Self { client, names: Names::cilium(), deadline, run: None }
    }

    /// The same subject, with other names.
    #[must_use]
    pub fn named(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// What its objects are called.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The same subject, with another deadline for rollouts.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The same subject; what is there only for a while carries the label [`RUN_LABEL`](crate::RUN_LABEL) with this id.
    #[must_use]
    pub fn of_run(self, id: &str) -> Self {
        Self { run: Some(id.to_owned()), ..self }
    }

    /// Installs a version: everything that its chart renders, with `config` laid over the chart's ConfigMap.
    ///
    /// # Errors
    /// When the chart cannot be rendered, an object is refused, or the agents do not become ready.
    pub async fn install(
        &self,
        chart: &Chart,
        config: &BTreeMap<String, String>,
    ) -> Result<(), SubjectError> {
        let mut objects = chart.render(Parts::All).await?;
        for object in &mut objects {
            if object.metadata.name.as_deref() == Some(CONFIG_MAP) {
                for (key, value) in config {
                    object.data["data"][key] = json!(value);
                }
            }
        }
        self.apply(&objects).await?;
        self.rollout_status().await
    }

    /// Adds keys to the ConfigMap, or changes them. Agents read it when they start.
    ///
    /// # Errors
    /// When the ConfigMap cannot be changed.
    pub async fn edit_config(&self, changes: &BTreeMap<String, String>) -> Result<(), SubjectError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let what = format!("ConfigMap {CONFIG_MAP} could not be changed");
        let patch = Patch::Merge(json!({"data": changes}));
        api.patch(CONFIG_MAP, &params(), &patch).await.map_err(request(what))?;
        Ok(())
    }

    /// Exports the ConfigMap as a manifest.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn config_map(&self) -> Result<String, SubjectError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let what = format!("ConfigMap {CONFIG_MAP} could not be read");
        let mut found = api.get(CONFIG_MAP).await.map_err(request(what))?;
        found.metadata.managed_fields = None;
        Ok(config::manifest(&found))
    }

    /// Replaces the data of the ConfigMap by that of a manifest. Agents read it when they start.
    ///
    /// # Errors
    /// When the manifest is not one of the ConfigMap, or the ConfigMap cannot be changed.
    pub async fn replace_config(&self, manifest: &str) -> Result<(), SubjectError> {
        let data = crate::parse_config_map(manifest).map_err(SubjectError::Manifest)?;
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let failed = || request(format!("ConfigMap {CONFIG_MAP} could not be replaced"));
        let mut now = api.get(CONFIG_MAP).await.map_err(failed())?;
        now.data = Some(data);
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        api.replace(CONFIG_MAP, &params, &now).await.map_err(failed())?;
        Ok(())
    }

    /// Upgrades to another version by applying what its chart renders: without the ConfigMap, the guide's Option B; with
    /// it, Option A.
    ///
    /// # Errors
    /// When an object is refused, or the rollout does not end.
    pub async fn upgrade(&self, rendered: &[DynamicObject]) -> Result<(), SubjectError> {
        self.apply(rendered).await?;
        self.rollout_status().await
    }

    /// Restarts the agents as they are, as `kubectl rollout restart` does; `at` tells this restart from others.
    ///
    /// # Errors
    /// When the DaemonSet cannot be changed or the rollout does not end.
    pub async fn restart(&self, at: &str) -> Result<(), SubjectError> {
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
    pub async fn set_image(&self, image: &str) -> Result<(), SubjectError> {
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
    pub async fn rollout_undo(&self) -> Result<i64, SubjectError> {
        let revision = rollback::undo(&self.client, &self.names.namespace, &self.names.daemon_set).await?;
        self.rollout_status().await?;
        Ok(revision)
    }

    /// Waits until the agents, and the proxy and the operator where there are such, have rolled out.
    ///
    /// # Errors
    /// When they have not before the deadline: the last state is in the message.
    pub async fn rollout_status(&self) -> Result<(), SubjectError> {
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

    /// Waits until a Deployment of kube-system has rolled out, which needs the pod network that the subject makes.
    ///
    /// # Errors
    /// When it has not before the deadline: the last state is in the message.
    pub async fn deployment_status(&self, name: &str) -> Result<(), SubjectError> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), NAMESPACE);
        Ok(rollout::deployment(&api, name, self.deadline).await?)
    }

    /// Applies objects that do not come from a chart, such as policies.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn apply(&self, objects: &[DynamicObject]) -> Result<(), SubjectError> {
        Ok(apply::apply(&self.client, &self.names.namespace, objects).await?)
    }

    /// Deletes objects that do not come from a chart; one that is gone already is fine.
    ///
    /// # Errors
    /// When one cannot be deleted.
    pub async fn delete(&self, objects: &[DynamicObject]) -> Result<(), SubjectError> {
        Ok(apply::delete(&self.client, &self.names.namespace, objects).await?)
    }

    /// Runs a command in every agent's container, with `input` on its standard input; in order of the nodes.
    ///
    /// # Errors
    /// When it cannot be run; a command that fails is no error.
    pub async fn in_agents(
        &self,
        command: &[String],
        input: Option<&str>,
    ) -> Result<Vec<Said>, SubjectError> {
        Ok(exec::everywhere(&self.client, command, input).await?)
    }

    /// Starts a command in a pod beside every agent, under a name; it goes on while agents come and go.
    ///
    /// # Errors
    /// When a pod cannot be made, or does not run.
    pub async fn start_beside(
        &self,
        name: &str,
        image: &str,
        command: &[String],
    ) -> Result<(), SubjectError> {
        Ok(beside::start(&self.client, name, image, command).await?)
    }

    /// Reads what [`Self::start_beside`] started under a name has said so far: each node, and the text.
    ///
    /// # Errors
    /// When nothing was started under the name, or a pod cannot be heard.
    pub async fn said_beside(&self, name: &str) -> Result<Vec<(String, String)>, SubjectError> {
        Ok(beside::said(&self.client, name).await?)
    }

    /// Ends what [`Self::start_beside`] started under a name.
    ///
    /// # Errors
    /// When nothing was started under the name, or a pod cannot be deleted.
    pub async fn end_beside(&self, name: &str) -> Result<(), SubjectError> {
        Ok(beside::end(&self.client, name).await?)
    }

    /// Reads the metrics that every agent serves on `port`: its node, and the text; in order of the nodes.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn metrics(&self, port: u16) -> Result<Vec<(String, String)>, SubjectError> {
        Ok(scrape::everywhere(&self.client, port).await?)
    }

    /// Every policy of the cluster, as a manifest.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn policies(&self) -> Result<String, SubjectError> {
        let (group, version, kind) = crate::POLICY;
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
    pub async fn daemon_set(&self) -> Result<DaemonSet, SubjectError> {
        let Names { daemon_set, .. } = &self.names;
        let what = format!("DaemonSet {daemon_set} could not be read");
        self.daemon_sets().get(daemon_set).await.map_err(request(what))
    }

    pub(crate) fn daemon_sets(&self) -> Api<DaemonSet> {
        Api::namespaced(self.client.clone(), &self.names.namespace)
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}
