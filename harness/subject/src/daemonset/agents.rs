//! The agents' pods.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, ListParams};
use model::Role;

use super::Installation;
use super::error::{InstallationError, request};

impl Installation {
    /// The agents' pods.
    pub(super) async fn agents(&self) -> Result<Vec<Pod>, InstallationError> {
        let listed = self.pods().list(&ListParams::default()).await;
        let listed = listed.map_err(request("the agents' pods could not be listed"))?;
        Ok(listed.items.into_iter().filter(|pod| self.names.role(pod) == Some(Role::Agent)).collect())
    }

    /// The status of the agent's container on a node; `None` while there is none.
    ///
    /// # Errors
    /// When the pods cannot be listed.
    pub async fn agent_status(&self, node: &str) -> Result<Option<ContainerStatus>, InstallationError> {
        let on_node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
        let agents = self.agents().await?.into_iter().filter(on_node);
        let mut statuses = agents.filter_map(|pod| pod.status?.container_statuses).flatten();
        Ok(statuses.find(|status| status.name == self.names.container))
    }

    /// The image of the agents.
    ///
    /// # Errors
    /// When their DaemonSet cannot be read, or has no such container.
    pub async fn agent_image(&self) -> Result<String, InstallationError> {
        let spec = self.daemon_set().await?.spec.and_then(|spec| spec.template.spec);
        let mut containers = spec.map(|spec| spec.containers).unwrap_or_default().into_iter();
        let agent = containers.find(|container| container.name == self.names.container);
        agent.and_then(|agent| agent.image).ok_or_else(|| InstallationError::NoSuchObject {
            component: format!("DaemonSet {}", self.names.daemon_set),
            object: "container of the agent",
        })
    }

    /// The pods in the namespace of the agents.
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.names.namespace)
    }
}
