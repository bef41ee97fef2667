//! The stand-in: an agent of our own that plays Cilium, with charts and images from its own program, and an etcd for its
//! identities.

mod etcd;

use std::path::{Path, PathBuf};

use cluster::images::{LayerBuilder, REGISTRY};
use cluster::{Component, Image};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kube::api::DynamicObject;
use model::Version;
use serde_json::Value;

use crate::capability::{Capabilities, Capability};
use crate::cilium;
use crate::error::PrepareError;
use crate::facts::Facts;
use crate::input::InputError;
use crate::names::Names;
use crate::options::SubjectOptions;
use crate::registration::Registration;
use crate::release::Release;
use crate::source::Chart;
use crate::standin_program::Program;
use crate::subject::{Environment, Prepared, Subject};

/// The stand-in in the registry.
pub(crate) const REGISTRATION: Registration = Registration {
    name: NAME,
    summary: "a small agent of our own that plays Cilium 1.0 to 1.6",
    open: |options| Ok(Box::new(Standin::from_options(options)?)),
    supported: || {
        let program = Program::find()?;
        Ok(Box::new(move |version| program.supports(version)))
    },
};
const NAME: &str = "standin";

/// The stand-in.
#[derive(Clone, Debug)]
pub struct Standin {
    program: Program,
}

impl Standin {
    /// The stand-in, with the program that is found on this machine.
    ///
    /// # Errors
    /// When there is none, or it is not for this seatrial.
    pub fn find() -> Result<Self, InputError> {
        Ok(Self { program: Program::find()? })
    }

    fn from_options(options: &SubjectOptions) -> Result<Self, InputError> {
        match options.charts {
            None => Self::find(),
            Some(_) => {
                let remedy = "--charts needs --subject cilium";
                Err(InputError(format!("the stand-in has its own charts: {remedy}")))
            }
        }
    }
}

impl Subject for Standin {
    fn name(&self) -> &str {
        NAME
    }

    fn is_documented(&self) -> bool {
        true
    }

    fn names(&self) -> Names {
        cilium::names()
    }

    fn carries(&self) -> Capabilities {
        [Capability::Policies, Capability::Services, Capability::World].into()
    }

    fn supports(&self, version: &Version) -> Result<(), InputError> {
        self.program.supports(version)
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
        environment: &'a Environment<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Prepared>, PrepareError>> {
        let prepared = PreparedStandin::new(&self.program, versions, environment);
        async { Ok(Box::new(prepared.await?) as Box<dyn Prepared>) }.boxed()
    }
}

/// Charts on disk and images of some versions.
#[derive(Debug)]
struct PreparedStandin {
    versions: Vec<Version>,
    registry: String,
    images: Vec<Image>,
    etcd: Image,
    charts: PathBuf,
}

impl PreparedStandin {
    async fn new(
        program: &Program,
        versions: &[Version],
        environment: &Environment<'_>,
    ) -> Result<Self, PrepareError> {
        let layer = program.layer(environment.scratch).await?;
        // Tags must look like Cilium's, so the content address is in the registry's path.
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
        let charts = environment.scratch.join("charts");
        for version in versions {
            program.write_chart(version, &charts.join(version.minor().to_string())).await?;
        }
        let etcd = environment.components.resolve(Component::Etcd, &|_| ()).await?;
        let etcd = image_of_program("etcd", &etcd, environment.scratch).await?;
        Ok(Self { versions: versions.to_vec(), registry, images, etcd, charts })
    }

    fn release(&self, version: &Version, facts: &Facts, endpoint: &str) -> Release {
        let names = cilium::names();
        Release {
            version: version.clone(),
            given: Value::Null,
            documented: true,
            tag_value: Some("global.tag"),
            image: format!("{}/cilium:{}", self.registry, version.tag()),
            chart: Chart {
                name: names.name,
                namespace: names.namespace,
                config_map: names.config_map,
                helm: facts.helm.clone(),
                path: self.charts.join(version.minor().to_string()),
                kubernetes: facts.kubernetes.clone(),
                api: None,
                division: cilium::division::SUBCHARTS,
                api_versions: &[],
                values_files: Vec::new(),
                values: self.values(version, facts, endpoint),
            },
        }
    }

    fn values(&self, version: &Version, facts: &Facts, endpoint: &str) -> Vec<(String, String)> {
        let (host, port) = &facts.api;
        let (tag, port) = (version.tag(), port.to_string());
        let values: [(&str, &str); 14] = [
            // Its proxy answers for servers: without a share of the processor it is as late as the machine is busy.
            ("agent.resources.requests.cpu", "100m"),
            // A startup probe shows readiness when it happens, and is over then: a command every second costs the machine
            // more than all probes. A kubelet that has just started lets the first check wait for up to a period.
            ("agent.startup.periodSeconds", "1"),
            ("agent.readiness.initialDelaySeconds", "0"),
            ("agent.readiness.periodSeconds", "5"),
            ("preflight.readiness.initialDelaySeconds", "0"),
            ("preflight.readiness.periodSeconds", "1"),
            ("global.registry", &self.registry),
            ("global.tag", &tag),
            ("global.pullPolicy", "IfNotPresent"),
            ("global.k8sServiceHost", host),
            ("global.k8sServicePort", &port),
            ("global.etcd.enabled", "true"),
            ("global.etcd.endpoints[0]", endpoint),
            ("global.etcd.ssl", "true"),
        ];
        values.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    }
}

impl Prepared for PreparedStandin {
    fn images(&self) -> Vec<Image> {
        self.images.iter().chain([&self.etcd]).cloned().collect()
    }

    fn releases<'a>(&'a self, facts: &'a Facts) -> BoxFuture<'a, Result<Vec<Release>, PrepareError>> {
        async {
            let endpoint = etcd::endpoint(facts)?;
            Ok(self.versions.iter().map(|version| self.release(version, facts, &endpoint)).collect())
        }
        .boxed()
    }

    /// The etcd with the identities, with new certificates.
    fn prerequisites(&self, facts: &Facts) -> Result<Vec<DynamicObject>, PrepareError> {
        etcd::objects(facts, &self.etcd.reference)
    }
}

/// Packs an image of one program.
async fn image_of_program(name: &str, program: &Path, scratch: &Path) -> Result<Image, PrepareError> {
    let mut layer = LayerBuilder::create(&scratch.join(format!("{name}.tar")))?;
    layer.program(program, &format!("/usr/bin/{name}")).await?;
    layer.folder("/tmp")?;
    let layer = layer.finish()?;
    Ok(Image {
        reference: format!("{REGISTRY}/{name}:{}", layer.short()),
        layers: vec![layer],
        entrypoint: vec![format!("/usr/bin/{name}")],
        env: Vec::new(),
    })
}
