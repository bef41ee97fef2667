//! Upgrade tests as a library: a builder for one run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use cluster::sandbox::SandboxProvider;
use cluster::{Components, Provider};
use probe::budget::Budgets;
use report::run::Run;
use subject::Subject;

use crate::command_line::CommandLine;
use crate::exit::Usage;
use crate::id::new_id;
use crate::place::Place;
use crate::procedure;
use crate::run::recipe::{Recipe, Story};
use crate::run::request::{Request, plan};
use crate::{errors, paths, subjects};

/// Clusters in Linux namespaces of this machine. They need root, and no container engine.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox;

impl Sandbox {
    /// A sandbox with this number of nodes: 1 to 5, and 2 or more for traffic between nodes.
    #[must_use]
    pub fn nodes(nodes: u8) -> NewCluster {
        NewCluster::new(Arc::new(SandboxProvider::default()), nodes)
    }
}

/// A cluster that a provider creates for one run, and removes after it.
#[derive(Clone, Debug)]
pub struct NewCluster {
    provider: Arc<dyn Provider>,
    components: Option<PathBuf>,
    nodes: u8,
}

impl NewCluster {
    /// A cluster of any provider.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, nodes: u8) -> Self {
        Self { provider, components: None, nodes }
    }

    /// Uses the etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubelet of this folder. The default are
    /// components that are built once and cached.
    #[must_use]
    pub fn components(self, folder: impl Into<PathBuf>) -> Self {
        Self { components: Some(folder.into()), ..self }
    }
}

/// A test of one upgrade: install a version, start the traffic, upgrade by the documented procedure, and measure.
#[derive(Debug)]
pub struct Upgrade {
    from: String,
    to: String,
    subject: Option<Box<dyn Subject>>,
    cluster: NewCluster,
    rollback: bool,
    budgets: Option<Budgets>,
    required: Vec<String>,
    out: PathBuf,
}

impl Upgrade {
    /// An upgrade between two versions, such as `1.5` (its latest patch) or `v1.5.13`, on a sandbox with two nodes.
    #[must_use]
    pub fn new(from: &str, to: &str) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            subject: None,
            cluster: Sandbox::nodes(2),
            rollback: false,
            budgets: None,
            required: Vec::new(),
            out: PathBuf::from("runs"),
        }
    }

    /// Sets the component that is upgraded. It has no default.
    #[must_use]
    pub fn subject(self, subject: impl Subject + 'static) -> Self {
        Self { subject: Some(Box::new(subject)), ..self }
    }

    /// Sets the cluster.
    #[must_use]
    pub fn on(self, cluster: NewCluster) -> Self {
        Self { cluster, ..self }
    }

    /// Sets whether the upgrade is rolled back afterwards, and that is measured as well. The default is that it is not.
    #[must_use]
    pub fn rollback(self, rollback: bool) -> Self {
        Self { rollback, ..self }
    }

    /// Sets what flows may lose, in place of the standard budgets.
    #[must_use]
    pub fn budgets(self, budgets: Budgets) -> Self {
        Self { budgets: Some(budgets), ..self }
    }

    /// Requires traffic: a part of a flow id, such as `held-http/cross-node`. Without such a flow the run is skipped. Can
    /// be called more than once.
    #[must_use]
    pub fn require(mut self, flow: &str) -> Self {
        self.required.push(flow.to_owned());
        self
    }

    /// Sets the folder in which the run gets a folder with its id. The default is `runs` in the current folder.
    #[must_use]
    pub fn out(self, folder: impl Into<PathBuf>) -> Self {
        Self { out: folder.into(), ..self }
    }

    /// Runs the test, from the boot of the cluster to its removal, and returns the record: the verdict with its reason, and
    /// each flow with its outages. The run folder has the same as `run.json`, and as a report.
    ///
    /// Takes about a minute for each transition, once the components are built. Ctrl-C ends the run with the verdict
    /// `interrupted`.
    ///
    /// # Errors
    /// When nothing was created: the versions, the machine or the subject cannot be used, or the program `seatrial`, of
    /// which images and processes are made, is not found ([`program`](crate::program)). Also when the run folder cannot be
    /// written. Whatever fails later is in the record.
    pub async fn run(self) -> anyhow::Result<Run> {
        procedure::upgrade(&self.request().await?).await
    }

    async fn request(self) -> anyhow::Result<Request> {
        let Self { from, to, subject, cluster, rollback, budgets, required, out } = self;
        let remedy = "there is no subject: set one with Upgrade::subject";
        let mut subject = subject.ok_or_else(|| Usage(remedy.to_owned()))?;
        let components = Components::new(cluster.components, paths::cache());
        subject.load_versions(&components).await.map_err(subjects::failed)?;
        let (from, to) = (subjects::resolve(&*subject, &from)?, subjects::resolve(&*subject, &to)?);
        let procedure = plan(&*subject, &from, &to, rollback, None)?;
        crate::program::use_program()?;
        errors::machine_is_ready(&*cluster.provider)?;
        let story = Story::Run { from: from.to_string(), to: to.to_string(), rollback, budgets: None };
        let line =
            CommandLine::new(&["seatrial", "run"]).with_positionals([from.to_string(), to.to_string()]);
        let recipe = Recipe::new(subject.option(), cluster.nodes, &BTreeMap::new(), story);
        Ok(Request {
            place: Place::created(&new_id(), cluster.provider, components, cluster.nodes),
            procedure,
            again: line.to_string(),
            recipe: recipe.with_options(&line),
            budgets,
            subject: subject.into(),
            config: BTreeMap::new(),
            policies: BTreeMap::new(),
            names: false,
            required,
            out: std::path::absolute(&out).context("the current folder cannot be read")?,
            verbose: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use subject::fake::FakeSubject;

    use super::*;

    #[tokio::test]
    async fn missing_subject_and_wrong_order_are_usage_errors() {
        let error = Upgrade::new("1.5", "1.6").run().await.unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("Upgrade::subject"), "{error}");
        let error = Upgrade::new("1.6", "1.5").subject(FakeSubject::default()).run().await.unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("is not newer than"), "{error}");
    }
}
