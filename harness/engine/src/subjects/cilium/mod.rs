//! Cilium itself, from its charts or manifests; its images come from a registry, from archives, or are a shim.

mod charts;
mod shim;
mod values;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cluster::{Components, Image};
use kube::api::DynamicObject;
use model::Version;
use serde_json::{Map, Value};
use subject::{CONTAINER, Chart, DAEMONSET, Layout, Parts, Subject};

use super::{Facts, Release, Standin};
use crate::bundle::Bundle;
use crate::errors;
use crate::exit::Usage;
use charts::Charts;
use values::Given;

/// Where Cilium comes from, and what is set in its charts.
#[derive(Clone, Debug)]
pub struct Source {
    charts: Charts,
    files: Vec<Given<PathBuf>>,
    pairs: Vec<Given<(String, String)>>,
    archives: Vec<PathBuf>,
    prerequisites: Vec<DynamicObject>,
    /// The program in the images that replace the charts' own, if there are any.
    shim: Option<Standin>,
}

impl Source {
    /// Looks at what was named.
    pub(super) fn open(
        charts: &str,
        files: &[String],
        pairs: &[String],
        archives: Vec<PathBuf>,
        shim: bool,
    ) -> Result<Self, Usage> {
        let source = Self {
            charts: Charts::open(charts)?,
            files: files.iter().map(|text| values::file(text)).collect::<Result<_, _>>()?,
            pairs: pairs.iter().map(|text| values::pair(text)).collect::<Result<_, _>>()?,
            archives,
            prerequisites: Vec::new(),
            shim: shim.then(Standin::find).transpose()?,
        };
        // A file that is no mapping is said now, and not once a cluster is up.
        let files: Vec<_> = source.files.iter().map(|given| given.any().clone()).collect();
        values::merged(&files, &[])?;
        Ok(source)
    }

    /// The same, after what these manifests hold.
    pub(super) fn with_prerequisites(mut self, manifests: &[PathBuf]) -> Result<Self, Usage> {
        for path in manifests {
            let wrong = |why: String| Usage(format!("--prerequisites {}: {why}", path.display()));
            let objects =
                subject::manifests(path).map_err(|e| wrong(errors::line(&anyhow::Error::new(e))))?;
            if objects.is_empty() {
                return Err(wrong("there are no objects in it".to_owned()));
            }
            if objects.iter().any(|object| object.types.is_none() || object.metadata.name.is_none()) {
                return Err(wrong("an object in it has no kind or no name".to_owned()));
            }
            self.prerequisites.extend(objects);
        }
        Ok(self)
    }

    pub(super) fn is_shim(&self) -> bool {
        self.shim.is_some()
    }

    pub(super) fn needs_registry(&self) -> bool {
        self.shim.is_none() && self.archives.is_empty()
    }

    /// Asks where the charts come from which there are.
    pub(super) async fn ask(&mut self, components: &Components) -> anyhow::Result<()> {
        self.charts.ask(components).await
    }

    pub(super) fn available(&self) -> &BTreeSet<Version> {
        self.charts.available()
    }

    /// Checks that the version can be had, and that what was given for it has somewhere to go.
    pub(super) fn supports(&self, version: &Version) -> Result<(), Usage> {
        self.charts.supports(version)?;
        if self.charts.layout(version) == Layout::Manifests
            && self.given(version)? != Value::Object(Map::new())
        {
            return Err(Usage(format!(
                "Cilium {version} comes as manifests, which take no values: change the manifests, and give --values and \
                 --set for the minors of charts alone, as in --set 1.6:KEY=VALUE"
            )));
        }
        Ok(())
    }

    fn files(&self, version: &Version) -> Vec<PathBuf> {
        self.files.iter().filter_map(|file| file.of(version).cloned()).collect()
    }

    fn pairs(&self, version: &Version) -> Vec<(String, String)> {
        self.pairs.iter().filter_map(|pair| pair.of(version).cloned()).collect()
    }

    /// All that was given for a version.
    fn given(&self, version: &Version) -> Result<Value, Usage> {
        values::merged(&self.files(version), &self.pairs(version))
    }
}

/// The charts of some versions, and the images that they need.
#[derive(Debug)]
pub struct Prepared {
    source: Source,
    versions: Vec<Version>,
    images: Vec<Image>,
}

impl Prepared {
    pub(super) async fn new(
        source: &Source,
        versions: &[Version],
        bundle: &Bundle,
        helm: &Path,
    ) -> anyhow::Result<Self> {
        let mut prepared = Self { source: source.clone(), versions: versions.to_vec(), images: Vec::new() };
        if let Some(program) = &source.shim {
            let mut shim = shim::Shim::new(program, bundle).await?;
            for version in versions {
                shim.cover(version, &prepared.everything(version, helm).await?);
            }
            prepared.images = shim.images();
        }
        Ok(prepared)
    }

    pub(super) fn images(&self) -> Vec<Image> {
        self.images.clone()
    }

    pub(super) fn archives(&self) -> Vec<PathBuf> {
        self.source.archives.clone()
    }

    pub(super) async fn releases(&self, facts: &Facts) -> anyhow::Result<Vec<Release>> {
        let mut releases = Vec::new();
        for version in &self.versions {
            let chart = self.chart(version, facts).await?;
            let objects = chart.render(Parts::All).await?;
            let Some(image) = agent_image(&objects) else {
                anyhow::bail!(
                    "{} has no DaemonSet {DAEMONSET} with a container {CONTAINER}",
                    chart.path.display()
                );
            };
            let given = self.source.given(version)?;
            releases.push(Release { version: version.clone(), chart, image, given, documented: true });
        }
        Ok(releases)
    }

    pub(super) fn prerequisites(&self) -> Vec<DynamicObject> {
        let shim = if self.source.is_shim() { shim::permissions() } else { Vec::new() };
        shim.into_iter().chain(self.source.prerequisites.iter().cloned()).collect()
    }

    /// Every object of a version, those of its pre-flight check included; which images they use does not hang on where the
    /// cluster is.
    async fn everything(&self, version: &Version, helm: &Path) -> anyhow::Result<Vec<DynamicObject>> {
        let facts = Facts {
            helm: helm.to_owned(),
            kubernetes: cluster::components::KUBERNETES.to_owned(),
            api: ("127.0.0.1".to_owned(), 6443),
            nodes: Vec::new(),
            ours: true,
        };
        let chart = self.chart(version, &facts).await?;
        let mut objects = chart.render(Parts::All).await?;
        objects.extend(chart.render(Parts::Preflight).await?);
        Ok(objects)
    }

    async fn chart(&self, version: &Version, facts: &Facts) -> anyhow::Result<Chart> {
        let (path, layout) = self.source.charts.get(version, &facts.helm).await?;
        let first = self.versions.first().unwrap_or(version);
        // A cluster that is there has its settings: the user gives them.
        let mut pairs = if facts.ours { values::of_cluster(version, first, facts) } else { Vec::new() };
        if self.source.is_shim() {
            pairs.extend(shim::values(version));
        }
        // What the user gives comes last, and so it counts.
        pairs.extend(self.source.pairs(version));
        Ok(Chart {
            helm: facts.helm.clone(),
            path,
            kubernetes: facts.kubernetes.clone(),
            api: facts.ours.then(|| facts.api.clone()),
            layout,
            values_files: self.source.files(version),
            values: pairs,
        })
    }
}

/// The images that the charts of these versions use, each once.
pub(super) async fn images(
    source: &Source,
    versions: &[Version],
    helm: &Path,
) -> anyhow::Result<BTreeSet<String>> {
    let prepared = Prepared { source: source.clone(), versions: versions.to_vec(), images: Vec::new() };
    let mut images = BTreeSet::new();
    for version in versions {
        let objects = prepared.everything(version, helm).await?;
        images.extend(containers(&objects).filter_map(|it| it["image"].as_str().map(str::to_owned)));
    }
    Ok(images)
}

/// Whether the agents are told to give pods IPv6 addresses as well.
pub(super) async fn carries_ipv6(installed: &Subject) -> anyhow::Result<bool> {
    let config = subject::parse_config_map(&installed.config_map().await?).map_err(anyhow::Error::msg)?;
    Ok(config.get("enable-ipv6").is_some_and(|value| value == "true"))
}

/// The image of the agents' container.
fn agent_image(objects: &[DynamicObject]) -> Option<String> {
    let agents = subject::find(objects, "DaemonSet", DAEMONSET)?;
    let containers = agents.data["spec"]["template"]["spec"]["containers"].as_array()?;
    let agent = containers.iter().find(|container| container["name"] == CONTAINER)?;
    agent["image"].as_str().map(str::to_owned)
}

/// Every container of the workloads among some objects, init containers included.
fn containers(objects: &[DynamicObject]) -> impl Iterator<Item = &Value> {
    objects.iter().flat_map(|object| {
        let spec = &object.data["spec"]["template"]["spec"];
        ["initContainers", "containers"].into_iter().filter_map(|key| spec[key].as_array()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing(&[], true)]
    #[case::for_the_chart(&["1.6-1.7:debug=true"], true)]
    #[case::for_all(&["debug=true"], false)]
    #[case::for_the_manifests(&["1.5:debug=true"], false)]
    fn manifests_take_no_values(#[case] pairs: &[&str], #[case] taken: bool) {
        let folder = tempfile::tempdir().unwrap();
        for file in ["1.5.13.yaml", "cilium-1.6.12.tgz"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let pairs: Vec<_> = pairs.iter().map(|&pair| pair.to_owned()).collect();
        let place = folder.path().to_str().unwrap();
        let source = Source::open(place, &[], &pairs, Vec::new(), false).unwrap();
        assert!(source.supports(&"1.6.12".parse().unwrap()).is_ok());
        match source.supports(&"1.5.13".parse().unwrap()) {
            Ok(()) => assert!(taken),
            Err(e) => {
                assert!(!taken);
                assert!(
                    e.to_string().starts_with("Cilium 1.5.13 comes as manifests, which take no values"),
                    "{e}"
                );
            }
        }
    }

    #[rstest]
    #[case::one("apiVersion: v1\nkind: Secret\nmetadata: {name: cilium-etcd-secrets}\n", None)]
    #[case::none("# later\n", Some("there are no objects in it"))]
    #[case::nameless("apiVersion: v1\nkind: Secret\n", Some("an object in it has no kind or no name"))]
    #[case::no_object("- a\n", Some("holds a document that is no Kubernetes object"))]
    fn prerequisites_are_objects(#[case] text: &str, #[case] refused: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("secret.yaml");
        std::fs::write(&manifest, text).unwrap();
        std::fs::write(folder.path().join("1.5.13.yaml"), "").unwrap();
        let source = Source::open(folder.path().to_str().unwrap(), &[], &[], Vec::new(), false).unwrap();
        match (source.with_prerequisites(std::slice::from_ref(&manifest)), refused) {
            (Ok(source), None) => assert_eq!(source.prerequisites.len(), 1),
            (Err(e), Some(words)) => {
                let said = e.to_string();
                assert!(said.contains(words) && said.contains(manifest.to_str().unwrap()), "{said}");
            }
            (read, _) => panic!("{read:?}"),
        }
    }

    /// An upgrade of a cluster that is there asks for a file of values, and one with none says that there are none.
    #[test]
    fn no_values_are_none_for_manifests_too() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1.5.13.yaml"), "").unwrap();
        let none = folder.path().join("none.yaml");
        std::fs::write(&none, "{}").unwrap();
        let files = [none.display().to_string()];
        let source = Source::open(folder.path().to_str().unwrap(), &files, &[], Vec::new(), false).unwrap();
        assert!(source.supports(&"1.5.13".parse().unwrap()).is_ok());
    }
}
