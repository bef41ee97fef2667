//! Charts of Cilium rendered with values, outside of any run.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use cluster::{Component, Components};
use model::Version;
use serde_json::Value;

use super::charts::Charts;
use super::names::names;
use crate::error::PrepareError;
use crate::input::InputError;
use crate::source::{Chart, ChartError, Parts};

/// APIs that templates check for, in charts 1.9 to 1.20; a cluster whose values enable such objects has them.
const OPTIONAL_APIS: &[&str] = &[
    "monitoring.coreos.com/v1",
    "gateway.networking.k8s.io/v1/GatewayClass",
    "gateway.networking.k8s.io/v1beta1/GatewayClass",
];

/// Charts of Cilium, from a repository or a folder.
#[derive(Debug)]
pub struct ChartSource {
    charts: Charts,
    helm: PathBuf,
}

impl ChartSource {
    /// Opens a folder of charts, or the chart repository with this address; fetched charts are kept in the cache.
    ///
    /// # Errors
    /// When it cannot be read, has no chart of Cilium, or helm is missing.
    pub async fn open(place: &str, cache: &Path, components: &Components) -> Result<Self, PrepareError> {
        let mut charts = Charts::open(place, cache)?;
        charts.load_versions(components).await?;
        let helm = components.resolve(Component::Helm, &|_| {}).await?;
        Ok(Self { charts, helm })
    }

    /// The values that the chart of a version has by itself.
    ///
    /// # Errors
    /// When there is no such chart, or helm fails.
    pub async fn defaults(&self, version: &Version) -> Result<Value, PrepareError> {
        Ok(self.chart(version).await?.own_values().await?)
    }

    /// The objects of a version with these values; `Err` inside where the chart refuses them, with its reason.
    ///
    /// # Errors
    /// When there is no such chart, helm cannot be run, or its output cannot be read.
    pub async fn render(
        &self,
        version: &Version,
        values: &Value,
    ) -> Result<Result<Vec<Value>, String>, PrepareError> {
        let failed = PrepareError::file("a file of values cannot be written".to_owned());
        // JSON is YAML. The file is readable by its owner alone: values may be secrets.
        let file = tempfile::NamedTempFile::new();
        let file = file.and_then(|mut file| file.write_all(values.to_string().as_bytes()).map(|()| file));
        let file = file.map_err(failed)?;
        let chart = Chart { values_files: vec![file.path().to_owned()], ..self.chart(version).await? };
        match chart.render(Parts::All).await {
            Ok(objects) => {
                let values = objects.iter().map(serde_json::to_value).collect::<Result<_, _>>();
                Ok(Ok(values.map_err(|e| PrepareError::Incomplete(e.to_string()))?))
            }
            Err(ChartError::Helm { output, .. }) => Ok(Err(output)),
            Err(other) => Err(other.into()),
        }
    }

    async fn chart(&self, version: &Version) -> Result<Chart, PrepareError> {
        self.charts.supports(version)?;
        let (path, division) = self.charts.get(version, &self.helm).await?;
        if division.is_manifests() {
            let what = format!("{} is not a chart", path.display());
            return Err(InputError(format!("{what}: values files belong to charts")).into());
        }
        let names = names();
        Ok(Chart {
            name: names.name,
            namespace: names.namespace,
            config_map: names.config_map,
            helm: self.helm.clone(),
            path,
            kubernetes: cluster::components::KUBERNETES.to_owned(),
            api: None,
            division,
            api_versions: OPTIONAL_APIS,
            values_files: Vec::new(),
            values: Vec::new(),
        })
    }
}
