//! Running traffic, and the collection of its samples.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Asker, DeployError, Spare, Target};
use crate::clock::now_ns;
use crate::processors::{Look, Looks};
use crate::sample::FlowSamples;
use crate::store::Store;
use crate::traffic::Traffic;

/// Good samples in a row after which a fast flow counts as steady.
const STEADY: usize = 10;
/// Longest time for the samples of the last moments to arrive, after the deadline of the last probe.
const LAST_SAMPLES: Duration = Duration::from_secs(3);

/// The result of a measurement.
#[derive(Debug, Default)]
pub struct Delivered {
    /// The samples of each flow, in the order of the traffic plan.
    pub flows: Vec<FlowSamples>,
    /// The reason why not all of them are on disk.
    pub failure: Option<DeployError>,
    /// Readings of the nodes' processor counters.
    pub processors: Vec<Look>,
}

/// Running probers, and the collection of their samples.
pub struct Session {
    pub(super) client: Client,
    pub(super) target: Target,
    pub(super) traffic: Traffic,
    pub(super) store: Arc<Store>,
    pub(super) looks: Arc<Looks>,
    pub(super) followers: JoinSet<()>,
}

impl Session {
    /// Returns the traffic, with the address of every flow.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Returns a server that can be added to the Service of all servers; `None` without servers.
    #[must_use]
    pub fn spare(&self) -> Option<Spare> {
        Spare::new(&self.client, self.target.clone(), &self.traffic)
    }

    /// Returns what makes pods look up names; `None` when the traffic has no names.
    #[must_use]
    pub fn asker(&self) -> Option<Asker> {
        Asker::new(&self.client, &self.target, &self.traffic)
    }

    /// Waits until the newest samples of every flow are good, and returns the time at which they were, ns.
    ///
    /// # Errors
    ///
    /// When flows are not steady by the deadline; the message has their last samples.
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
            last: last.chain(self.store.last_output()).collect::<Vec<_>>().join("; "),
        })
    }

    /// Ends the measurement now, waits for the samples of its last moments, and returns all of them.
    ///
    /// The probers run until their namespace is deleted. A flow whose samples end early, or that has none, has a fault.
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
        let (processors, unkept) = self.looks.all();
        let failure = failure.map(DeployError::from).or(unkept.map(DeployError::Looks));
        Delivered { flows, failure, processors }
    }

    /// Ends the collection and the creation of new pods; the pods are deleted with the namespace.
    pub fn stop(mut self) {
        self.followers.abort_all();
    }
}
