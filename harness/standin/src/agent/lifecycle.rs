//! What happens to a pod's endpoint from its first address to its end.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use std::time::Duration;
use tokio::time::timeout;

use super::Agent;
use super::api::{Reply, Request};
use super::endpoint::{Endpoint, EndpointError};
use crate::chain;
use crate::identity::IdentityError;
use crate::identity::labels::Labels;

const IN_FORCE: Duration = Duration::from_secs(10);

/// An endpoint that could not be brought into force.
#[derive(Debug, thiserror::Error)]
pub(super) enum LifecycleError {
    /// Its state.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Its identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its pod.
    #[error("the pod {namespace}/{pod} cannot be read")]
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        pod: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// Nothing is known of the sandbox.
    #[error("sandbox {0} has no endpoint; delete the pod to have it made anew")]
    Unknown(String),
    /// The rules did not follow.
    #[error("the packet rules were not in force after {IN_FORCE:?}")]
    Late,
}

impl Agent {
    /// Answers a request of the CNI plugin or the command.
    pub(super) async fn answer(&self, request: Request) -> Reply {
        let done = match request {
            Request::Status => Ok(Reply::Ok),
            Request::Allocate { container_id, namespace, pod } => {
                let mut endpoints = self.endpoints();
                let ip = endpoints.allocate(self.node.pods, &container_id, &namespace, &pod);
                ip.map(|ip| Reply::Address { ip, node_ip: self.node.ip }).map_err(LifecycleError::from)
            }
            Request::Create { container_id } => self.create(&container_id).await.map(|()| Reply::Ok),
            Request::Check { container_id } => match self.endpoints().get(&container_id) {
                Some(_) => Ok(Reply::Ok),
                None => Err(LifecycleError::Unknown(container_id)),
            },
            Request::Delete { container_id } => self.delete(&container_id).await.map(|()| Reply::Ok),
            Request::Policy => return self.policy_reply(),
            Request::Names => {
                let named = self.endpoints().all().into_iter();
                let of = named.map(|it| (format!("{}/{}", it.namespace, it.pod), it.names)).collect();
                return Reply::Names { of };
            }
            Request::ImportPolicy { rules } => {
                return match self.import(&rules) {
                    Ok(revision) => Reply::Imported { revision },
                    // The words of upstream's API.
                    Err(error) => Reply::Failed {
                        reason: format!("[PUT /policy][500] putPolicyFailure  {}", chain(&error)),
                    },
                };
            }
        };
        done.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "a request of the CNI plugin failed");
            Reply::Failed { reason: chain(&error) }
        })
    }

    async fn create(&self, container_id: &str) -> Result<(), LifecycleError> {
        let known = self.endpoints().get(container_id).cloned();
        let mut endpoint = known.ok_or_else(|| LifecycleError::Unknown(container_id.to_owned()))?;
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &endpoint.namespace);
        let pod = api.get(&endpoint.pod).await.map_err(|source| LifecycleError::Pod {
            namespace: endpoint.namespace.clone(),
            pod: endpoint.pod.clone(),
            source: Box::new(source),
        })?;
        endpoint.pod_uid = pod.metadata.uid.clone().unwrap_or_default();
        let labels = self.runtime.labels(&endpoint, Some(&pod), &self.cluster_name);
        let ip = endpoint.ip;
        self.identify(endpoint, labels).await?;
        if let Some(fault) = &self.fault {
            fault.wired(ip);
        }
        self.in_force().await
    }

    async fn delete(&self, container_id: &str) -> Result<(), LifecycleError> {
        let Some(endpoint) = self.endpoints().remove(container_id)? else { return Ok(()) };
        tracing::info!(pod = endpoint.pod, namespace = endpoint.namespace, ip = %endpoint.ip, "endpoint deleted");
        self.changed();
        Ok(self.store.withdraw(&endpoint).await?)
    }

    /// Gives identities to endpoints whose pods have other labels now, or to all of them.
    pub(super) async fn refresh(&self, all: bool) -> Result<(), LifecycleError> {
        let endpoints = self.endpoints().all();
        for endpoint in endpoints.into_iter().filter(|endpoint| endpoint.identity != 0) {
            let pod = self.cluster.pod(&endpoint.namespace, &endpoint.pod);
            let same = pod.filter(|pod| pod.metadata.uid.as_deref() == Some(&endpoint.pod_uid));
            let labels = self.runtime.labels(&endpoint, same.as_deref(), &self.cluster_name);
            if all || labels != endpoint.labels {
                self.identify(endpoint, labels).await?;
            }
        }
        Ok(())
    }

    /// Finds the identity for `labels`, announces it to the other nodes, and stores both.
    async fn identify(&self, mut endpoint: Endpoint, labels: Labels) -> Result<(), LifecycleError> {
        let before = endpoint.identity;
        endpoint.identity = self.store.identity(&labels).await?;
        endpoint.labels = labels;
        if endpoint.identity != before {
            let Endpoint { namespace, pod, ip, identity, .. } = &endpoint;
            tracing::info!(pod, namespace, %ip, before, identity, "endpoint has an identity");
        }
        self.store.publish(&endpoint, self.node.ip).await?;
        let mut endpoints = self.endpoints();
        if endpoints.get(&endpoint.container_id).is_some() {
            endpoints.put(endpoint)?;
        }
        Ok(())
    }

    /// Waits until rules that were computed from now on are in the kernel.
    pub(super) async fn in_force(&self) -> Result<(), LifecycleError> {
        let generation = self.changed();
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|it| *it >= generation);
        match timeout(IN_FORCE, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(LifecycleError::Late),
        }
    }
}
