//! The interface of subjects: what is upgraded, and what it takes to install a version.
//!
//! A new subject is one module that implements [`Subject`] and [`Prepared`], and one line in `registry.rs`.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use cluster::{Components, Image};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kube::api::DynamicObject;
use model::{Version, VersionSpec};

use crate::capability::{Capabilities, Capability};
use crate::daemonset::{Installation, InstallationError};
use crate::error::PrepareError;
use crate::facts::Facts;
use crate::input::InputError;
use crate::names::Names;
use crate::release::Release;

/// A network component that can be installed and upgraded.
pub trait Subject: Debug + Send + Sync {
    /// The name in reports.
    fn name(&self) -> &str;

    /// The name on the command line, or of the subject file.
    fn option(&self) -> &str {
        self.name()
    }

    /// Whether an upgrade guide documents the steps and hazards of its upgrades.
    fn is_documented(&self) -> bool;

    /// The names of its objects.
    fn names(&self) -> Names;

    /// The traffic that it carries, as far as that is known before it is installed.
    fn carries(&self) -> Capabilities;

    /// Whether it gives pods IPv6 addresses, once it is installed.
    ///
    /// Fails when its configuration cannot be read.
    fn carries_ipv6<'a>(
        &'a self,
        _installed: &'a Installation,
    ) -> BoxFuture<'a, Result<bool, InstallationError>> {
        let carries = self.carries().has(Capability::Ipv6);
        async move { Ok(carries) }.boxed()
    }

    /// Requests the list of available versions, where only a remote server has it. To be called before versions are
    /// resolved.
    ///
    /// Fails when the server does not answer.
    fn load_versions<'a>(
        &'a mut self,
        _components: &'a Components,
    ) -> BoxFuture<'a, Result<(), PrepareError>> {
        async { Ok(()) }.boxed()
    }

    /// The available versions, where not every release is.
    fn available(&self) -> Option<&BTreeSet<Version>> {
        None
    }

    /// Resolves what a person wrote: a minor is its latest available patch.
    ///
    /// # Errors
    /// When there is no such version.
    fn resolve(&self, spec: &VersionSpec) -> Result<Version, InputError> {
        let known = guide::resolve(spec).map_err(|e| InputError(e.to_string()))?;
        let same = |version: &&Version| version.minor() == known.minor();
        let available = self.available().and_then(|available| available.iter().rfind(same));
        Ok(match (spec, available) {
            (VersionSpec::Latest(_), Some(available)) => available.clone(),
            _ => known,
        })
    }

    /// Checks that a version can be installed.
    ///
    /// # Errors
    /// When it cannot; the message has the versions that can.
    fn supports(&self, version: &Version) -> Result<(), InputError>;

    /// Whether nodes have to pull images from a registry.
    fn needs_registry(&self) -> bool;

    /// Whether it runs on any version of Kubernetes, as far as is known.
    fn runs_on_any_kubernetes(&self) -> bool;

    /// The images that some versions need from a registry.
    ///
    /// Fails when a chart cannot be rendered.
    fn images<'a>(
        &'a self,
        _versions: &'a [Version],
        _environment: &'a Environment<'a>,
    ) -> BoxFuture<'a, Result<BTreeSet<String>, PrepareError>> {
        async { Ok(BTreeSet::new()) }.boxed()
    }

    /// Makes charts and images of some versions, in order; the first one is installed.
    ///
    /// Fails when a chart or an image cannot be had.
    fn prepare<'a>(
        &'a self,
        versions: &'a [Version],
        environment: &'a Environment<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Prepared>, PrepareError>>;
}

/// A subject with charts and images of some versions.
pub trait Prepared: Debug + Send + Sync {
    /// Images that every node needs.
    fn images(&self) -> Vec<Image> {
        Vec::new()
    }

    /// Archives of images that every node needs.
    fn archives(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// One release for each version, in order.
    ///
    /// Fails when a chart cannot be rendered.
    fn releases<'a>(&'a self, facts: &'a Facts) -> BoxFuture<'a, Result<Vec<Release>, PrepareError>>;

    /// Objects that the cluster needs before the first version is installed.
    ///
    /// # Errors
    /// When one cannot be made.
    fn prerequisites(&self, _facts: &Facts) -> Result<Vec<DynamicObject>, PrepareError> {
        Ok(Vec::new())
    }
}

/// What a subject uses of the machine to prepare itself.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    /// Where programs come from.
    pub components: &'a Components,
    /// The program helm.
    pub helm: &'a Path,
    /// A folder that exists for as long as the subject is used.
    pub scratch: &'a Path,
}
