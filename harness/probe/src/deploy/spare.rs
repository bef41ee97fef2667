//! One more server behind the Service of all servers, which is created and removed during the measurement.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::addresses::SERVICE_LABEL;
use super::watch::{self, Wanted};
use super::{DeployError, PODS_UP, Target, create, objects};
use crate::traffic::{ALL_SERVERS, PART_LABEL, Part, ProbePod, Traffic};

const NAME: &str = "server-spare";
/// The label of a spare that has left the Service and still runs.
const RETIRED: &str = "retired";
/// Longest time for it to join the Service, or to go.
const LIMIT: Duration = Duration::from_secs(30);

/// The spare server of a run.
pub struct Spare {
    pods: Api<Pod>,
    slices: Api<EndpointSlice>,
    target: Target,
    planned: ProbePod,
}

impl Spare {
    /// Plans it next to the last server of the traffic; `None` without servers.
    #[must_use]
    pub fn new(client: &Client, target: Target, traffic: &Traffic) -> Option<Self> {
        let last = traffic.pods.iter().rfind(|pod| pod.part == Part::Server)?;
        let planned = ProbePod { name: NAME.to_owned(), ..last.clone() };
        let pods = Api::namespaced(client.clone(), &target.namespace);
        let slices = Api::namespaced(client.clone(), &target.namespace);
        Some(Self { pods, slices, target, planned })
    }

    /// Creates it, and waits until it is behind the Service; returns its node and address.
    ///
    /// # Errors
    /// When the pod is refused, or is not behind the Service in time.
    pub async fn add(&self) -> Result<String, DeployError> {
        create(&self.pods, "pod", &objects::server(&self.target, &self.planned)).await?;
        let placed = watch::pods_up(&self.pods, &[NAME.to_owned()], Wanted::Ready, PODS_UP).await?;
        let address =
            placed.get(NAME).and_then(|all| all.first()).map(ToString::to_string).unwrap_or_default();
        self.behind_service(true).await?;
        Ok(format!("{NAME} on {} is {address}", self.planned.node))
    }

    /// Removes it from the Service, then deletes it, so that no connection to it is cut.
    ///
    /// # Errors
    /// When it cannot be changed or deleted, or is not gone in time.
    pub async fn remove(&self) -> Result<(), DeployError> {
        let failed = |doing: &'static str| {
            move |source| DeployError::Api { doing, object: format!("pod {NAME}"), source: Box::new(source) }
        };
        let retired = Patch::Merge(json!({"metadata": {"labels": {PART_LABEL: RETIRED}}}));
        self.pods.patch(NAME, &PatchParams::default(), &retired).await.map_err(failed("change"))?;
        self.behind_service(false).await?;
        self.pods.delete(NAME, &DeleteParams::default()).await.map_err(failed("delete"))?;
        watch::until(&format!("pod {NAME} is gone"), LIMIT, async || match self.pods.get_opt(NAME).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("it is still there".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    async fn behind_service(&self, wanted: bool) -> Result<(), DeployError> {
        let of_service = ListParams::default().labels(&format!("{SERVICE_LABEL}={ALL_SERVERS}"));
        let what = format!("{NAME} is {} Service {ALL_SERVERS}", if wanted { "behind" } else { "out of" });
        watch::until(&what, LIMIT, async || {
            let slices = self.slices.list(&of_service).await.map_err(|error| error.to_string())?;
            let there = slices.items.iter().any(serves);
            if there == wanted { Ok(()) } else { Err("its endpoint slices do not show it yet".to_owned()) }
        })
        .await
    }
}

/// Returns whether a slice sends new connections to the spare.
fn serves(slice: &EndpointSlice) -> bool {
    slice.endpoints.iter().any(|endpoint| {
        let named = endpoint.target_ref.as_ref().and_then(|target| target.name.as_deref());
        let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
        named == Some(NAME) && ready
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::ready(json!([{"addresses": ["10.0.0.1"], "targetRef": {"name": NAME}, "conditions": {"ready": true}}]), true)]
    #[case::not_ready(json!([{"addresses": ["10.0.0.1"], "targetRef": {"name": NAME}, "conditions": {"ready": false}}]), false)]
    #[case::others(json!([{"addresses": ["10.0.0.1"], "targetRef": {"name": "server-1"}}]), false)]
    fn a_slice_tells_whether_the_spare_serves(#[case] endpoints: serde_json::Value, #[case] expected: bool) {
        let slice =
            json!({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": endpoints, "ports": []});
        assert_eq!(serves(&serde_json::from_value(slice).unwrap()), expected);
    }
}
