//! Traffic that flows, and the samples that it brings.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::DeleteParams;
use kube::{Api, Client};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Asker, DeployError, Spare, Target, watch};
use crate::clock::now_ns;
use crate::sample::FlowSamples;
use crate::store::{Store, StoreError};
use crate::traffic::Traffic;

/// Good samples in a row that a fast flow must have before it counts as flowing.
const STEADY: usize = 10;
/// Longest time for the samples of the last moments to arrive, after the deadline of the last probe.
const LAST_SAMPLES: Duration = Duration::from_secs(3);
/// Longest time for the namespace to go.
const GONE: Duration = Duration::from_secs(60);

/// Everything that was delivered.
#[derive(Debug)]
pub struct Delivered {
    /// The samples, flow by flow, in the order of the traffic plan.
    pub flows: Vec<FlowSamples>,
    /// Why not all of them are on disk.
    pub failure: Option<StoreError>,
}

/// Probers that run, and the collection of their samples.
pub struct Session {
    client: Client,
    target: Target,
    traffic: Traffic,
    store: Arc<Store>,
    followers: Vec<JoinHandle<()>>,
}

impl Session {
    pub(super) fn new(
        client: Client,
        target: Target,
        traffic: Traffic,
        store: Arc<Store>,
        followers: Vec<JoinHandle<()>>,
    ) -> Self {
        Self { client, target, traffic, store, followers }
    }

    /// Returns the traffic, with the address of every flow filled in.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Returns a server that can be put behind the Service of all servers; none where there are no servers.
    #[must_use]
    pub fn spare(&self) -> Option<Spare> {
        Spare::new(&self.client, self.target.clone(), &self.traffic)
    }

    /// Returns what makes pods ask for the names that they know; none where the traffic has no names.
    #[must_use]
    pub fn asker(&self) -> Option<Asker> {
        Asker::new(&self.client, &self.target, &self.traffic)
    }

    /// Waits until the newest samples of every flow are good, and returns the time at which they were, ns.
    ///
    /// # Errors
    ///
    /// Names the flows that are not steady by the deadline, and what their last probe was.
    pub async fn flowing(&self, limit: Duration) -> Result<u64, DeployError> {
        let mut changes = self.store.changes();
        let steady = async {
            while !self.store.unsteady(STEADY).is_empty() {
                if changes.changed().await.is_err() {
                    break;
                }
            }
        };
        if timeout(limit, steady).await.is_ok() {
            return Ok(now_ns());
        }
        let last = self.store.unsteady(STEADY).into_iter().map(|(flow, class)| match class {
            Some(class) => format!("{flow}: last probe {class}"),
            None => format!("{flow}: no samples"),
        });
        Err(DeployError::Deadline {
            what: "good samples in a row on every flow".into(),
            after: limit,
            last: last.chain(self.store.said()).collect::<Vec<_>>().join("; "),
        })
    }

    /// Ends the measurement now, waits for the samples of its last moments, and returns all of them.
    ///
    /// The probers go on until [`Session::delete`]. A flow whose samples end early, or that has none, has
    /// its fault noted.
    pub async fn finish(&self) -> Delivered {
        let end_ns = now_ns();
        let deadline_ns = self.traffic.flows.iter().map(|flow| flow.deadline_ns).max().unwrap_or(0);
        let mut changes = self.store.changes();
        let limit = Instant::now() + Duration::from_nanos(deadline_ns) + LAST_SAMPLES;
        while !self.store.is_decided(end_ns) {
            if !matches!(timeout_at(limit, changes.changed()).await, Ok(Ok(()))) {
                break;
            }
        }
        let (flows, failure) = self.store.samples(end_ns);
        Delivered { flows, failure }
    }

    /// Deletes the namespace with everything in it, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When the API server refuses, or the namespace is still there after a minute.
    pub async fn delete(self) -> Result<(), DeployError> {
        self.followers.iter().for_each(JoinHandle::abort);
        delete(&self.client, &self.target.namespace).await
    }
}

async fn delete(client: &Client, namespace: &str) -> Result<(), DeployError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.delete(namespace, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(source) => {
            let object = format!("namespace {namespace}");
            return Err(DeployError::Api { doing: "delete", object, source: Box::new(source) });
        }
    }
    watch::until(&format!("namespace {namespace} gone"), GONE, async || {
        match namespaces.get_opt(namespace).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("it is still there; does one of its pods not end?".into()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}
