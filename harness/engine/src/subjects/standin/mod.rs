//! The stand-in: charts and images from its own program, and an etcd for its identities.

mod etcd;
mod program;

use cluster::images::REGISTRY;
use cluster::{Component, Components, Image};
use kube::api::DynamicObject;
use model::Version;
use serde_json::Value;
use subject::{Chart, Layout};

use super::{Facts, Release};
use crate::bundle::Bundle;
use crate::scratch::Scratch;
pub use program::Program;

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
        program: &Program,
        versions: &[Version],
        bundle: &Bundle,
        components: &Components,
    ) -> anyhow::Result<Self> {
        let layer = program.layer(bundle).await?;
        // Tags must read like upstream's, so the content address is in the registry's path.
        let registry = format!("{REGISTRY}/{}/standin", layer.short());
        let mut images = Vec::new();
        for version in versions {
            let env = [(program.environment().version.clone(), version.tag())];
            images.extend(program.images(version).map(|name| Image {
                reference: format!("{registry}/{name}"),
                layers: vec![layer.clone()],
                entrypoint: vec!["/usr/bin/cilium-agent".to_owned()],
                env: env.to_vec(),
            }));
        }
        images.sort_by(|a, b| a.reference.cmp(&b.reference));
        images.dedup_by(|a, b| a.reference == b.reference);
        let charts = Scratch::new("charts-")?;
        for version in versions {
            program.write_chart(version, &charts.path().join(version.minor().to_string())).await?;
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
