//! Any network component that is a DaemonSet, as a file describes it: its manifests or charts, installed and upgraded as they
//! are.

mod source;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kube::api::DynamicObject;
use model::{Version, VersionSpec};
use serde_json::{Value, json};

pub use text::SubjectFile;

use crate::capability::Capabilities;
use crate::error::PrepareError;
use crate::facts::Facts;
use crate::input::InputError;
use crate::names::Names;
use crate::release::Release;
use crate::source::{Chart, Division, Parts, image_of};
use crate::subject::{Environment, Prepared, Subject};
use source::Source;

/// A component that a file describes, and its images.
#[derive(Clone, Debug)]
pub struct FileSubject {
    file: PathBuf,
    names: Names,
    carries: Capabilities,
    versions: BTreeMap<Version, Source>,
    archives: Vec<PathBuf>,
}

impl FileSubject {
    /// Reads a subject file and everything that it names; `taken` are the names of other subjects.
    ///
    /// # Errors
    /// When the file or what it names cannot be used; the message has line and column.
    pub fn open(file: &Path, archives: Vec<PathBuf>, taken: &[&str]) -> Result<Self, InputError> {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|e| InputError(format!("the subject file {shown} cannot be read: {e}")))?;
        let read = SubjectFile::parse(&shown, &text, taken)?;
        let names = read.names();
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut versions = BTreeMap::new();
        for (version, written) in &read.versions {
            let source = Source::open(&written.value, folder, &names);
            let source = source.map_err(|why| text::at(&shown, written.referenced, &why))?;
            versions.insert(version.clone(), source);
        }
        let carries = read.carries.into_iter().map(Into::into).collect();
        Ok(Self { file: file.to_owned(), names, carries, versions, archives })
    }

    fn source(&self, version: &Version) -> Result<&Source, InputError> {
        self.versions.get(version).ok_or_else(|| {
            let known: Vec<_> = self.versions.keys().map(ToString::to_string).collect();
            let (file, name, known) = (self.file.display(), &self.names.name, known.join(", "));
            InputError(format!("{file} has no {name} {version}; it has {known}"))
        })
    }
}

impl Subject for FileSubject {
    fn name(&self) -> &str {
        &self.names.name
    }

    fn is_documented(&self) -> bool {
        false
    }

    fn names(&self) -> Names {
        self.names.clone()
    }

    fn carries(&self) -> Capabilities {
        self.carries.clone()
    }

    fn resolve(&self, spec: &VersionSpec) -> Result<Version, InputError> {
        let version = match spec {
            VersionSpec::Exact(version) => version.clone(),
            VersionSpec::Latest(minor) => {
                let latest = self.versions.keys().rfind(|version| version.minor() == *minor);
                latest.cloned().unwrap_or_else(|| minor.patch(0))
            }
        };
        self.source(&version).map(|_| version)
    }

    fn supports(&self, version: &Version) -> Result<(), InputError> {
        self.source(version).map(|_| ())
    }

    fn needs_registry(&self) -> bool {
        self.archives.is_empty()
    }

    fn runs_on_any_kubernetes(&self) -> bool {
        true
    }

    fn prepare<'a>(
        &'a self,
        versions: &'a [Version],
        environment: &'a Environment<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Prepared>, PrepareError>> {
        let prepared = PreparedFile::new(self, versions, environment);
        async { Ok(Box::new(prepared.await?) as Box<dyn Prepared>) }.boxed()
    }
}

/// Some versions of a component.
#[derive(Debug)]
struct PreparedFile {
    names: Names,
    archives: Vec<PathBuf>,
    versions: Vec<(Version, Source, Vec<PathBuf>)>,
}

impl PreparedFile {
    async fn new(
        subject: &FileSubject,
        versions: &[Version],
        environment: &Environment<'_>,
    ) -> Result<Self, PrepareError> {
        let mut prepared =
            Self { names: subject.names.clone(), archives: subject.archives.clone(), versions: Vec::new() };
        for version in versions {
            let source = subject.source(version)?.clone();
            let files = source.values_files(&version.to_string(), environment.scratch)?;
            prepared.versions.push((version.clone(), source, files));
        }
        // Charts are checked now, and not after a cluster was made; what they render hardly depends on it.
        for (_, source, files) in &prepared.versions {
            if let Source::Chart(path, _) = source {
                let facts = Facts {
                    helm: environment.helm.to_owned(),
                    kubernetes: cluster::components::KUBERNETES.to_owned(),
                    api: ("127.0.0.1".to_owned(), 6443),
                    nodes: Vec::new(),
                    made: true,
                };
                let objects = prepared.chart(source, files, &facts).render(Parts::All).await?;
                source::check(&objects, &prepared.names)
                    .map_err(|why| InputError(format!("the chart {} {why}", path.display())))?;
            }
        }
        Ok(prepared)
    }

    fn chart(&self, source: &Source, values_files: &[PathBuf], facts: &Facts) -> Chart {
        let (path, division) = match source {
            Source::Manifests(path) => (path, Division::PLAIN_MANIFESTS),
            Source::Chart(path, _) => (path, Division::PLAIN_CHART),
        };
        Chart {
            name: self.names.name.clone(),
            namespace: self.names.namespace.clone(),
            config_map: self.names.config_map.clone(),
            helm: facts.helm.clone(),
            path: path.clone(),
            kubernetes: facts.kubernetes.clone(),
            api: Some(facts.api.clone()),
            division,
            api_versions: &[],
            values_files: values_files.to_vec(),
            values: Vec::new(),
        }
    }

    async fn release(
        &self,
        (version, source, files): &(Version, Source, Vec<PathBuf>),
        facts: &Facts,
    ) -> Result<Release, PrepareError> {
        let chart = self.chart(source, files, facts);
        let objects = chart.render(Parts::All).await?;
        let image = image_of(&objects, &self.names).ok_or_else(|| {
            let daemon_set = &self.names.daemon_set;
            PrepareError::Incomplete(format!(
                "{version} no longer has a DaemonSet {daemon_set} with an image"
            ))
        })?;
        let (version, given) = (version.clone(), Value::Null);
        Ok(Release { version, chart, image, given, documented: false, tag_value: None })
    }
}

impl Prepared for PreparedFile {
    fn archives(&self) -> Vec<PathBuf> {
        self.archives.clone()
    }

    fn releases<'a>(&'a self, facts: &'a Facts) -> BoxFuture<'a, Result<Vec<Release>, PrepareError>> {
        async {
            let mut releases = Vec::new();
            for version in &self.versions {
                releases.push(self.release(version, facts).await?);
            }
            Ok(releases)
        }
        .boxed()
    }

    /// The namespace of charts, which do not render it themselves as a rule; manifests have theirs.
    fn prerequisites(&self, _facts: &Facts) -> Result<Vec<DynamicObject>, PrepareError> {
        let has_chart = self.versions.iter().any(|(_, source, _)| matches!(source, Source::Chart(..)));
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.names.namespace},
        });
        let namespace = has_chart.then(|| match serde_json::from_value(namespace) {
            Ok(namespace) => namespace,
            Err(e) => unreachable!("a literal object has kind and name: {e}"),
        });
        Ok(namespace.into_iter().collect())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
