//! What steps act on.

use std::sync::Arc;

use anyhow::Context as _;
use cluster::NodeShell;
use cluster::node_file::NodeFiles;
use model::Version;
use probe::deploy::{Asker, Spare};
use report::event::Observation;
use subject::{Installation, Release};

use super::Step;
use kube::api::DynamicObject;

/// The observations of the run, as steps use them.
pub(crate) trait Observations: Send + Sync {
    /// Adds an observation.
    fn observe(&self, at_ns: u64, observation: Observation);

    /// The number of agents that have ended so far.
    fn ended_agents(&self) -> usize;
}

/// A cluster with traffic, and the subject on it.
pub(crate) struct StepContext<'a> {
    pub(crate) observations: &'a dyn Observations,
    pub(crate) client: kube::Client,
    /// Namespace of the probes.
    pub(crate) namespace: String,
    /// Runs commands on the nodes, where the provider can.
    pub(crate) shell: Option<Arc<dyn NodeShell>>,
    pub(crate) subject: Installation,
    pub(crate) releases: Vec<Release>,
    pub(crate) files: NodeFiles,
    pub(crate) spare: Option<Spare>,
    pub(crate) asker: Option<Asker>,
    /// The objects that the chart renders for the step.
    pub(crate) rendered: Vec<DynamicObject>,
    /// Whether no step follows.
    pub(crate) last: bool,
}

impl StepContext<'_> {
    /// The subject, with the step's limit on rollouts.
    pub(super) fn subject(&self, step: &Step) -> Installation {
        match step.within {
            Some(within) => self.subject.clone().within(within),
            None => self.subject.clone(),
        }
    }

    /// A version that was prepared before the run.
    pub(crate) fn release(&self, version: &Version) -> anyhow::Result<&Release> {
        let release = self.releases.iter().find(|release| release.version == *version);
        release.with_context(|| format!("{version} was not prepared"))
    }

    /// The same, with another tag of its images.
    pub(crate) fn tagged(&self, version: &Version, tag: Option<&str>) -> anyhow::Result<Release> {
        Ok(self.release(version)?.tagged(tag))
    }
}
