//! The stand-in: charts and images from this program, and an etcd for its identities.

mod etcd;

use anyhow::Context as _;
use cluster::{Component, Components, Image};
use guide::Version;
use kube::api::DynamicObject;
use serde_json::Value;
use subject::{Chart, Layout};

use super::{Facts, Release};
use crate::bundle::Bundle;
use crate::exit::Usage;
use crate::scratch::Scratch;

/// Says which versions it plays.
pub(super) fn supports(version: &Version) -> Result<(), Usage> {
    let minor = version.minor().to_string();
    if standin::MINORS.contains(&minor.as_str()) {
        return Ok(());
    }
    let minors = standin::MINORS.join(", ");
    Err(Usage(format!("the stand-in plays Cilium {minors}, not {version}; choose versions among these")))
}

/// Charts on disk and images, for some versions.
#[derive(Debug)]
pub struct Prepared {
    versions: Vec<Version>,
    registry: String,
    images: Vec<Image>,
    etcd: Image,
    charts: Scratch,
}

impl Prepared {
    pub(super) async fn new(
        versions: &[Version],
        bundle: &Bundle,
        components: &Components,
    ) -> anyhow::Result<Self> {
        let registry = bundle.registry("standin");
        let mut images = Vec::new();
        for version in versions {
            let known = version.tag().parse().context("the stand-in does not know the version")?;
            for name in standin::images(known, &version.tag()) {
                let env = vec![("STANDIN_VERSION".to_owned(), version.tag())];
                images.push(bundle.named(format!("{registry}/{name}"), "cilium-agent", env));
            }
        }
        images.sort_by(|a, b| a.reference.cmp(&b.reference));
        images.dedup_by(|a, b| a.reference == b.reference);
        let charts = Scratch::new("charts-")?;
        for version in versions {
            write_chart(charts.path(), &version.minor().to_string())?;
        }
        let etcd = components.resolve(Component::Etcd, &|_| ()).await?;
        let etcd = bundle.program("etcd", &etcd).await?;
        Ok(Self { versions: versions.to_vec(), registry, images, etcd, charts })
    }

    pub(super) fn images(&self) -> Vec<Image> {
        self.images.iter().chain([&self.etcd]).cloned().collect()
    }

    pub(super) fn releases(&self, facts: &Facts) -> anyhow::Result<Vec<Release>> {
        let (host, port) = &facts.api;
        let endpoint = etcd::endpoint(facts)?;
        let release = |version: &Version| Release {
            version: version.clone(),
            given: Value::Null,
            documented: true,
            image: format!("{}/cilium:{}", self.registry, version.tag()),
            chart: Chart {
                helm: facts.helm.clone(),
                path: self.charts.path().join(version.minor().to_string()),
                kubernetes: facts.kubernetes.clone(),
                api: None,
                layout: Layout::Subcharts,
                values_files: Vec::new(),
                values: vec![
                    // Upstream looks every 30 s; a kubelet that looks often tells readiness when it happens.
                    ("agent.readiness.initialDelaySeconds".to_owned(), "0".to_owned()),
                    ("agent.readiness.periodSeconds".to_owned(), "1".to_owned()),
                    ("preflight.readiness.initialDelaySeconds".to_owned(), "0".to_owned()),
                    ("preflight.readiness.periodSeconds".to_owned(), "1".to_owned()),
                    ("global.registry".to_owned(), self.registry.clone()),
                    ("global.tag".to_owned(), version.tag()),
                    ("global.pullPolicy".to_owned(), "IfNotPresent".to_owned()),
                    ("global.k8sServiceHost".to_owned(), host.clone()),
                    ("global.k8sServicePort".to_owned(), port.to_string()),
                    ("global.etcd.enabled".to_owned(), "true".to_owned()),
                    ("global.etcd.endpoints[0]".to_owned(), endpoint.clone()),
                    ("global.etcd.ssl".to_owned(), "true".to_owned()),
                ],
            },
        };
        Ok(self.versions.iter().map(release).collect())
    }

    /// The etcd that holds identities, with certificates of its own.
    pub(super) fn prerequisites(&self, facts: &Facts) -> anyhow::Result<Vec<DynamicObject>> {
        etcd::objects(facts, &self.etcd.reference)
    }
}

fn write_chart(folder: &std::path::Path, minor: &str) -> anyhow::Result<()> {
    let files = standin::chart(minor).with_context(|| format!("there is no chart for {minor}"))?;
    for (path, text) in files {
        let path = folder.join(minor).join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text).with_context(|| format!("{} could not be written", path.display()))?;
    }
    Ok(())
}
