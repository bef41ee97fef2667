//! Cilium: its charts or manifests, and the steps of its upgrade guide. Its images come from a registry, from archives, or
//! are replaced by images of the stand-in.

mod charts;
pub(crate) mod division;
mod given;
mod identities;
mod names;
mod policy;
mod preflight;
mod prepared;
mod rendered;
mod shim;

use std::collections::BTreeSet;
use std::path::PathBuf;

use cluster::Components;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kube::api::DynamicObject;
use model::Version;
use serde_json::{Map, Value};

pub use identities::{Fate, Migrated};
pub use names::{CONFIG_MAP, CONTAINER, DAEMON_SET, NAMESPACE, POLICY, PREFLIGHT, names};
pub use policy::{Grant, HttpRule, policies, policy};
pub use rendered::ChartSource;

use crate::capability::{Capabilities, Capability};
use crate::daemonset::{Installation, InstallationError};
use crate::error::{PrepareError, line};
use crate::input::InputError;
use crate::names::Names;
use crate::options::SubjectOptions;
use crate::registration::Registration;
use crate::source::{manifests, values};
use crate::standin_program::Program;
use crate::subject::{Environment, Prepared, Subject};
use charts::Charts;
use given::Given;

/// Cilium in the registry.
pub(crate) const REGISTRATION: Registration = Registration {
    name: NAME,
    summary: "Cilium's own charts or manifests, with --charts DIR|URL",
    open: |options| Ok(Box::new(Cilium::from_options(options)?)),
    supported: || Ok(Box::new(has_published_chart)),
};
const NAME: &str = "cilium";

/// Cilium, with its charts and their values.
#[derive(Clone, Debug)]
pub struct Cilium {
    charts: Charts,
    files: Vec<Given<PathBuf>>,
    pairs: Vec<Given<(String, String)>>,
    archives: Vec<PathBuf>,
    prerequisites: Vec<DynamicObject>,
    /// The program in the images that replace the charts' own, if there are such images.
    shim: Option<Program>,
}

/// Checks that a chart of a version was published.
fn has_published_chart(version: &Version) -> Result<(), InputError> {
    let line = guide::catalogue::line(version.minor());
    let charts = line.and_then(|line| line.chart.as_ref());
    if charts.is_some_and(|charts| charts.contains(version)) {
        return Ok(());
    }
    Err(InputError(format!("there is no published chart of Cilium {version}")))
}

impl Cilium {
    /// Cilium from charts or manifests, with values, archives of images and prerequisites.
    fn from_options(options: &SubjectOptions) -> Result<Self, InputError> {
        let Some(charts) = &options.charts else {
            return Err(InputError("--subject cilium needs --charts".to_owned()));
        };
        let cilium = Self {
            charts: Charts::open(charts, &options.cache)?,
            files: options.values.iter().map(|text| given::file(text)).collect::<Result<_, _>>()?,
            pairs: options.set.iter().map(|text| given::pair(text)).collect::<Result<_, _>>()?,
            archives: options.archives()?,
            prerequisites: Vec::new(),
            shim: options.shim.then(Program::find).transpose()?,
        };
        // A file that is not a mapping is an error now, and not after a cluster was made.
        let files: Vec<_> = cilium.files.iter().map(|given| given.any().clone()).collect();
        values::merged(&files, &[])?;
        cilium.with_prerequisites(&options.prerequisites)
    }

    /// The same, with the objects of these manifests as prerequisites.
    fn with_prerequisites(mut self, paths: &[PathBuf]) -> Result<Self, InputError> {
        for path in paths {
            let wrong = |why: String| InputError(format!("--prerequisites {}: {why}", path.display()));
            let objects = manifests(path).map_err(|e| wrong(line(&e)))?;
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

    fn files(&self, version: &Version) -> Vec<PathBuf> {
        self.files.iter().filter_map(|file| file.of(version).cloned()).collect()
    }

    fn pairs(&self, version: &Version) -> Vec<(String, String)> {
        self.pairs.iter().filter_map(|pair| pair.of(version).cloned()).collect()
    }

    /// The user's values for a version.
    fn given(&self, version: &Version) -> Result<Value, InputError> {
        values::merged(&self.files(version), &self.pairs(version))
    }
}

impl Subject for Cilium {
    fn name(&self) -> &str {
        if self.shim.is_some() { "cilium's charts with images of the stand-in" } else { NAME }
    }

    fn option(&self) -> &str {
        NAME
    }

    fn is_documented(&self) -> bool {
        true
    }

    fn names(&self) -> Names {
        names()
    }

    fn carries(&self) -> Capabilities {
        [Capability::Policies, Capability::Services, Capability::World].into()
    }

    fn carries_ipv6<'a>(
        &'a self,
        installed: &'a Installation,
    ) -> BoxFuture<'a, Result<bool, InstallationError>> {
        async { Ok(installed.config().await?.get("enable-ipv6").is_some_and(|value| value == "true")) }
            .boxed()
    }

    fn load_versions<'a>(
        &'a mut self,
        components: &'a Components,
    ) -> BoxFuture<'a, Result<(), PrepareError>> {
        self.charts.load_versions(components).boxed()
    }

    fn available(&self) -> Option<&BTreeSet<Version>> {
        Some(self.charts.available())
    }

    fn supports(&self, version: &Version) -> Result<(), InputError> {
        self.charts.supports(version)?;
        if self.charts.division(version).is_manifests() && self.given(version)? != Value::Object(Map::new()) {
            return Err(InputError(format!(
                "Cilium {version} comes as manifests, which take no values: change the manifests, or limit --values and \
                 --set to the minors with charts, as in --set 1.6:KEY=VALUE"
            )));
        }
        Ok(())
    }

    fn needs_registry(&self) -> bool {
        self.shim.is_none() && self.archives.is_empty()
    }

    fn runs_on_any_kubernetes(&self) -> bool {
        self.shim.is_some()
    }

    fn images<'a>(
        &'a self,
        versions: &'a [Version],
        environment: &'a Environment<'a>,
    ) -> BoxFuture<'a, Result<BTreeSet<String>, PrepareError>> {
        prepared::images(self, versions, environment.helm).boxed()
    }

    fn prepare<'a>(
        &'a self,
        versions: &'a [Version],
        environment: &'a Environment<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Prepared>, PrepareError>> {
        let prepared = prepared::PreparedCilium::new(self, versions, environment);
        async { Ok(Box::new(prepared.await?) as Box<dyn Prepared>) }.boxed()
    }
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
        let options =
            SubjectOptions { charts: Some(place.to_owned()), set: pairs, ..SubjectOptions::default() };
        let source = Cilium::from_options(&options).unwrap();
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
    #[case::no_object("- a\n", Some("has a document that is not a Kubernetes object"))]
    fn prerequisites_are_objects(#[case] text: &str, #[case] refused: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("secret.yaml");
        std::fs::write(&manifest, text).unwrap();
        std::fs::write(folder.path().join("1.5.13.yaml"), "").unwrap();
        let charts = Some(folder.path().display().to_string());
        let prerequisites = vec![manifest.clone()];
        let options = SubjectOptions { charts, prerequisites, ..SubjectOptions::default() };
        match (Cilium::from_options(&options), refused) {
            (Ok(source), None) => assert_eq!(source.prerequisites.len(), 1),
            (Err(e), Some(words)) => {
                let said = e.to_string();
                assert!(said.contains(words) && said.contains(manifest.to_str().unwrap()), "{said}");
            }
            (read, _) => panic!("{read:?}"),
        }
    }

    /// An upgrade of an existing cluster requires a file of values, which can be empty.
    #[test]
    fn an_empty_file_of_values_is_accepted_for_manifests() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1.5.13.yaml"), "").unwrap();
        let none = folder.path().join("none.yaml");
        std::fs::write(&none, "{}").unwrap();
        let files = [none.display().to_string()];
        let charts = Some(folder.path().display().to_string());
        let options = SubjectOptions { charts, values: files.into(), ..SubjectOptions::default() };
        let source = Cilium::from_options(&options).unwrap();
        assert!(source.supports(&"1.5.13".parse().unwrap()).is_ok());
    }
}
