//! Any other network component that is a DaemonSet, as a file describes it: its own manifests, installed and upgraded as
//! they are.

mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kube::api::DynamicObject;
use model::{Version, VersionSpec};
use probe::flow::Via;
use probe::traffic::Traffic;
use serde_json::Value;
use subject::{Chart, Layout, Names, Parts};

use super::{Facts, Release};
use crate::exit::Usage;
use text::{Carried, SubjectFile};

/// A component that a file describes, and its images.
#[derive(Clone, Debug)]
pub struct Source {
    file: PathBuf,
    names: Names,
    carries: Vec<Carried>,
    versions: BTreeMap<Version, PathBuf>,
    archives: Vec<PathBuf>,
}

impl Source {
    /// Reads the file and all manifests that it names.
    pub(super) fn open(file: &Path, archives: Vec<PathBuf>) -> Result<Self, Usage> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|e| Usage(format!("the subject file {shown} cannot be read: {e}")))?;
        let read = SubjectFile::parse(&shown.to_string(), &text)?;
        let names = read.names();
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut versions = BTreeMap::new();
        for (version, path) in &read.versions {
            let manifests = folder.join(&path.value);
            let wrong = |why: String| text::at(&shown.to_string(), path.referenced, &why);
            let objects =
                subject::manifests(&manifests).map_err(|e| wrong(crate::errors::line(&e.into())))?;
            has_named(&objects, &names).map_err(|why| wrong(format!("{} {why}", manifests.display())))?;
            versions.insert(version.clone(), manifests);
        }
        Ok(Self { file: file.to_owned(), names, carries: read.carries, versions, archives })
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn needs_registry(&self) -> bool {
        self.archives.is_empty()
    }

    /// Says whether Services lead anywhere.
    pub(super) fn carries_services(&self) -> bool {
        self.carries.contains(&Carried::Services)
    }

    /// Says whether pods have IPv6 addresses as well.
    pub(super) fn carries_ipv6(&self) -> bool {
        self.carries.contains(&Carried::Ipv6)
    }

    /// The version that is meant: without a patch, the latest that the file has.
    pub(super) fn resolve(&self, spec: &VersionSpec) -> Result<Version, Usage> {
        let version = match spec {
            VersionSpec::Exact(version) => version.clone(),
            VersionSpec::Latest(minor) => {
                let latest = self.versions.keys().rfind(|version| version.minor() == *minor);
                latest.cloned().unwrap_or_else(|| minor.patch(0))
            }
        };
        self.supports(&version).map(|()| version)
    }

    pub(super) fn supports(&self, version: &Version) -> Result<(), Usage> {
        if self.versions.contains_key(version) {
            return Ok(());
        }
        let known: Vec<_> = self.versions.keys().map(ToString::to_string).collect();
        Err(Usage(format!(
            "{} has no manifests of {} {version}; it has those of {}",
            self.file.display(),
            self.names.name,
            known.join(", ")
        )))
    }

    /// Leaves out what the component does not carry.
    pub(super) fn traffic(&self, standard: Traffic) -> Traffic {
        let mut vias = Vec::new();
        if !self.carries_services() {
            vias.extend([Via::ClusterIp, Via::NodePort]);
        }
        if !self.carries.contains(&Carried::World) {
            vias.push(Via::Outside);
        }
        standard.without_policies().without(&vias)
    }

    /// Says what is left out.
    pub(super) fn lacks(&self) -> String {
        let mut lacks = vec!["policies"];
        if !self.carries_services() {
            lacks.push("Services and their names");
        }
        if !self.carries.contains(&Carried::World) {
            lacks.push("the world outside");
        }
        format!("{} does not carry {}: nothing of that is tried", self.names.name, lacks.join(", "))
    }
}

/// Checks that manifests hold the objects that the file names.
fn has_named(objects: &[DynamicObject], names: &Names) -> Result<(), String> {
    let Names { namespace, daemon_set, container, config_map, .. } = names;
    let agents = objects.iter().find(|object| is(object, "DaemonSet", daemon_set, namespace));
    let agents = agents.ok_or_else(|| format!("has no DaemonSet {daemon_set} in namespace {namespace}"))?;
    if image(agents, container).is_none() {
        return Err(format!("has no container {container} with an image in DaemonSet {daemon_set}"));
    }
    match config_map {
        Some(name) if !objects.iter().any(|object| is(object, "ConfigMap", name, namespace)) => {
            Err(format!("has no ConfigMap {name} in namespace {namespace}"))
        }
        _ => Ok(()),
    }
}

fn is(object: &DynamicObject, kind: &str, name: &str, namespace: &str) -> bool {
    object.types.as_ref().is_some_and(|types| types.kind == kind)
        && object.metadata.name.as_deref() == Some(name)
        && object.metadata.namespace.as_deref().is_none_or(|own| own == namespace)
}

fn image<'a>(agents: &'a DynamicObject, container: &str) -> Option<&'a str> {
    let containers = agents.data.pointer("/spec/template/spec/containers")?.as_array()?;
    containers.iter().find(|it| it["name"] == container)?["image"].as_str()
}

/// The manifests of some versions.
#[derive(Debug)]
pub struct Prepared {
    source: Box<Source>,
    versions: Vec<Version>,
}

impl Prepared {
    pub(super) fn new(source: Box<Source>, versions: &[Version]) -> Self {
        Self { source, versions: versions.to_vec() }
    }

    pub(super) fn archives(&self) -> Vec<PathBuf> {
        self.source.archives.clone()
    }

    pub(super) async fn releases(&self, facts: &Facts) -> anyhow::Result<Vec<Release>> {
        let mut releases = Vec::new();
        for version in &self.versions {
            releases.push(self.release(version, facts).await?);
        }
        Ok(releases)
    }

    async fn release(&self, version: &Version, facts: &Facts) -> anyhow::Result<Release> {
        self.source.supports(version)?;
        let Names { namespace, daemon_set, container, .. } = &self.source.names;
        let chart = Chart {
            helm: facts.helm.clone(),
            path: self.source.versions[version].clone(),
            kubernetes: facts.kubernetes.clone(),
            api: Some(facts.api.clone()),
            layout: Layout::Manifests,
            values_files: Vec::new(),
            values: Vec::new(),
        };
        let objects = chart.render(Parts::All).await?;
        let agents = objects.iter().find(|object| is(object, "DaemonSet", daemon_set, namespace));
        let image = agents.and_then(|agents| image(agents, container));
        let image =
            image.with_context(|| format!("there is no DaemonSet {daemon_set} of {version} any more"))?;
        Ok(Release {
            version: version.clone(),
            image: image.to_owned(),
            chart,
            given: Value::Null,
            documented: false,
        })
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
