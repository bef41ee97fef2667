//! A subject for tests of what runs subjects: it needs neither a program nor a cluster.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use model::Version;
use serde_json::Value;

use crate::capability::{Capabilities, Capability};
use crate::error::PrepareError;
use crate::facts::Facts;
use crate::input::InputError;
use crate::names::Names;
use crate::release::Release;
use crate::source::{Chart, Division};
use crate::subject::{Environment, Prepared, Subject};

/// A subject with every capability, any version, and no images.
#[derive(Clone, Debug)]
pub struct FakeSubject {
    /// Its name.
    pub name: String,
    /// The names of its objects.
    pub names: Names,
    /// The traffic that it carries.
    pub carries: Capabilities,
    /// Whether a guide documents its upgrades.
    pub documented: bool,
    /// The versions that it has; `None` for any.
    pub versions: Option<BTreeSet<Version>>,
}

impl Default for FakeSubject {
    fn default() -> Self {
        let carries = [Capability::Policies, Capability::Services, Capability::World].into();
        let names = crate::cilium::names();
        Self { name: "fake".to_owned(), names, carries, documented: true, versions: None }
    }
}

impl Subject for FakeSubject {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_documented(&self) -> bool {
        self.documented
    }

    fn names(&self) -> Names {
        self.names.clone()
    }

    fn carries(&self) -> Capabilities {
        self.carries.clone()
    }

    fn available(&self) -> Option<&BTreeSet<Version>> {
        self.versions.as_ref()
    }

    fn supports(&self, version: &Version) -> Result<(), InputError> {
        match &self.versions {
            Some(versions) if !versions.contains(version) => {
                Err(InputError(format!("there is no {} {version}", self.name)))
            }
            _ => Ok(()),
        }
    }

    fn needs_registry(&self) -> bool {
        false
    }

    fn runs_on_any_kubernetes(&self) -> bool {
        true
    }

    fn prepare<'a>(
        &'a self,
        versions: &'a [Version],
        _environment: &'a Environment<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Prepared>, PrepareError>> {
        let prepared = PreparedFake { subject: self.clone(), versions: versions.to_vec() };
        async { Ok(Box::new(prepared) as Box<dyn Prepared>) }.boxed()
    }
}

/// Some versions of the fake.
#[derive(Debug)]
struct PreparedFake {
    subject: FakeSubject,
    versions: Vec<Version>,
}

impl PreparedFake {
    fn release(&self, version: &Version, facts: &Facts) -> Release {
        let names = &self.subject.names;
        Release {
            version: version.clone(),
            chart: Chart {
                name: names.name.clone(),
                namespace: names.namespace.clone(),
                config_map: names.config_map.clone(),
                helm: facts.helm.clone(),
                path: format!("fake-{version}.yaml").into(),
                kubernetes: facts.kubernetes.clone(),
                api: None,
                division: Division::PLAIN_MANIFESTS,
                api_versions: &[],
                values_files: Vec::new(),
                values: Vec::new(),
            },
            image: format!("fake:{}", version.tag()),
            given: Value::Null,
            documented: self.subject.documented,
            tag_value: None,
        }
    }
}

impl Prepared for PreparedFake {
    fn releases<'a>(&'a self, facts: &'a Facts) -> BoxFuture<'a, Result<Vec<Release>, PrepareError>> {
        async { Ok(self.versions.iter().map(|version| self.release(version, facts)).collect()) }.boxed()
    }
}
