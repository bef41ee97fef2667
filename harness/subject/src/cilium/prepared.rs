//! Charts and images of some versions of Cilium.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cluster::Image;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kube::api::DynamicObject;
use model::Version;

use super::names::{CONTAINER, DAEMON_SET, names};
use super::{Cilium, given, shim};
use crate::error::PrepareError;
use crate::facts::Facts;
use crate::release::Release;
use crate::source::{Chart, Parts, containers, image_of};
use crate::subject::{Environment, Prepared};

/// Some versions of Cilium, and the images that they need.
#[derive(Debug)]
pub(super) struct PreparedCilium {
    cilium: Cilium,
    versions: Vec<Version>,
    images: Vec<Image>,
}

impl PreparedCilium {
    pub(super) async fn new(
        cilium: &Cilium,
        versions: &[Version],
        environment: &Environment<'_>,
    ) -> Result<Self, PrepareError> {
        let mut prepared = Self { cilium: cilium.clone(), versions: versions.to_vec(), images: Vec::new() };
        if let Some(program) = &cilium.shim {
            let mut shim = shim::Shim::new(program, environment.scratch).await?;
            for version in versions {
                shim.cover(version, &prepared.everything(version, environment.helm).await?);
            }
            prepared.images = shim.images();
        }
        Ok(prepared)
    }

    /// Every object of a version, those of its pre-flight check included. Their images do not depend on the cluster.
    async fn everything(&self, version: &Version, helm: &Path) -> Result<Vec<DynamicObject>, PrepareError> {
        let facts = Facts {
            helm: helm.to_owned(),
            kubernetes: cluster::components::KUBERNETES.to_owned(),
            api: ("127.0.0.1".to_owned(), 6443),
            nodes: Vec::new(),
            made: true,
        };
        let chart = self.chart(version, &facts).await?;
        let mut objects = chart.render(Parts::All).await?;
        objects.extend(chart.render(Parts::Preflight).await?);
        Ok(objects)
    }

    async fn chart(&self, version: &Version, facts: &Facts) -> Result<Chart, PrepareError> {
        let (path, division) = self.cilium.charts.get(version, &facts.helm).await?;
        let first = self.versions.first().unwrap_or(version);
        // An existing cluster has its settings: the user gives them.
        let mut pairs = if facts.made { given::of_cluster(version, first, facts) } else { Vec::new() };
        if self.cilium.shim.is_some() {
            pairs.extend(shim::values(version));
        }
        // The user's values come last and override the others.
        pairs.extend(self.cilium.pairs(version));
        let names = names();
        Ok(Chart {
            name: names.name,
            namespace: names.namespace,
            config_map: names.config_map,
            helm: facts.helm.clone(),
            path,
            kubernetes: facts.kubernetes.clone(),
            // Charts have values for it.
            api: (facts.made && division.is_manifests()).then(|| facts.api.clone()),
            division,
            api_versions: &[],
            values_files: self.cilium.files(version),
            values: pairs,
        })
    }

    async fn release(&self, version: &Version, facts: &Facts) -> Result<Release, PrepareError> {
        let chart = self.chart(version, facts).await?;
        let objects = chart.render(Parts::All).await?;
        let image = image_of(&objects, &names()).ok_or_else(|| {
            let path = chart.path.display();
            PrepareError::Incomplete(format!(
                "{path} has no DaemonSet {DAEMON_SET} with a container {CONTAINER}"
            ))
        })?;
        Ok(Release {
            version: version.clone(),
            image,
            given: self.cilium.given(version)?,
            chart,
            documented: true,
            tag_value: Some("global.tag"),
        })
    }
}

impl Prepared for PreparedCilium {
    fn images(&self) -> Vec<Image> {
        self.images.clone()
    }

    fn archives(&self) -> Vec<PathBuf> {
        self.cilium.archives.clone()
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

    fn prerequisites(&self, _facts: &Facts) -> Result<Vec<DynamicObject>, PrepareError> {
        let shim = if self.cilium.shim.is_some() { shim::permissions() } else { Vec::new() };
        Ok(shim.into_iter().chain(self.cilium.prerequisites.iter().cloned()).collect())
    }
}

/// The images that the charts of these versions use.
pub(super) async fn images(
    cilium: &Cilium,
    versions: &[Version],
    helm: &Path,
) -> Result<BTreeSet<String>, PrepareError> {
    let prepared = PreparedCilium { cilium: cilium.clone(), versions: versions.to_vec(), images: Vec::new() };
    let mut images = BTreeSet::new();
    for version in versions {
        let objects = prepared.everything(version, helm).await?;
        images.extend(containers(&objects).filter_map(|it| it["image"].as_str().map(str::to_owned)));
    }
    Ok(images)
}
