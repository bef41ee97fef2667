//! Sources of a version's objects: charts, which helm renders, and manifests.

mod division;
mod error;
mod helm;
mod manifests;
pub(crate) mod values;

use std::path::PathBuf;

use kube::api::DynamicObject;
use serde_json::Value;

pub use division::{Division, Parts};
pub use error::ChartError;

pub(crate) use helm::helm;
pub(crate) use manifests::objects as manifests;

use crate::names::Names;

/// A chart with its values, or manifests.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Name of the release.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Name of the ConfigMap with the agents' configuration, if there is one.
    pub config_map: Option<String>,
    /// The program helm, version 3.17; other versions render differently.
    pub helm: PathBuf,
    /// Folder or archive of a chart, or file or folder of manifests.
    pub path: PathBuf,
    /// Version of Kubernetes that is rendered for, such as `v1.34.4`.
    pub kubernetes: String,
    /// Address and port of the API server for containers in the network of their node, unless values set it.
    pub api: Option<(String, u16)>,
    /// How its parts are told apart.
    pub division: Division,
    /// APIs besides those of Kubernetes that the cluster has, as charts ask for them.
    pub api_versions: &'static [&'static str],
    /// Files of values; later ones override earlier ones.
    pub values_files: Vec<PathBuf>,
    /// `--set` pairs; they override all files.
    pub values: Vec<(String, String)>,
}

impl Chart {
    /// Renders parts of it; nothing where it has no such part.
    ///
    /// # Errors
    /// When helm fails, a manifest cannot be read, or a document is not an object.
    pub async fn render(&self, parts: Parts) -> Result<Vec<DynamicObject>, ChartError> {
        let Some(values) = self.division.values(parts) else { return Ok(Vec::new()) };
        let mut objects = if self.division.is_manifests() {
            manifests::objects(&self.path)?
        } else {
            let text = helm(&self.helm, &self.arguments(values)).await?;
            manifests::parse(&text).map_err(|reason| self.document(reason))?
        };
        let config_map = self.config_map.as_deref();
        let has = |name: &str| self.division.has(parts, name, config_map);
        objects.retain(|object| object.metadata.name.as_deref().is_none_or(has));
        if let Some(api) = &self.api {
            objects.iter_mut().for_each(|object| manifests::name_api_server(object, api));
        }
        Ok(objects)
    }

    /// The values among `given` that the chart ignores, by their first part; empty where that cannot be known.
    ///
    /// # Errors
    /// When helm fails, or the chart's own values are not a mapping.
    pub async fn ignored_values(&self, given: &Value) -> Result<Vec<String>, ChartError> {
        match self.division {
            Division::Chart { single: true, .. } if !given.is_null() => {
                Ok(values::ignored(&self.own_values().await?, given))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The values that the chart has by itself.
    pub(crate) async fn own_values(&self) -> Result<Value, ChartError> {
        let args = ["show".to_owned(), "values".to_owned(), self.path.display().to_string()];
        let text = helm(&self.helm, &args).await?;
        serde_saphyr::from_str(&text).map_err(|e| self.document(e.to_string()))
    }

    /// Renders the ConfigMap alone, as a manifest: the template that a rebase needs.
    ///
    /// # Errors
    /// When helm fails, or there is no ConfigMap.
    pub async fn config_map(&self) -> Result<String, ChartError> {
        let objects = self.render(Parts::All).await?;
        let name = self.config_map.as_deref().unwrap_or_default();
        let found = find(&objects, "ConfigMap", name);
        let found = found.ok_or_else(|| self.document(format!("there is no ConfigMap {name}")))?;
        serde_saphyr::to_string(found).map_err(|e| self.document(e.to_string()))
    }

    fn document(&self, reason: String) -> ChartError {
        ChartError::Document { chart: self.path.clone(), reason }
    }

    fn arguments(&self, parts: &[(&str, &str)]) -> Vec<String> {
        let mut args = vec![
            "template".to_owned(),
            self.name.clone(),
            self.path.display().to_string(),
            format!("--namespace={}", self.namespace),
            format!("--kube-version={}", self.kubernetes),
        ];
        args.extend(self.api_versions.iter().map(|api| format!("--api-versions={api}")));
        args.extend(self.division.flags().iter().map(|flag| (*flag).to_owned()));
        args.extend(self.values_files.iter().map(|file| format!("--values={}", file.display())));
        let own = self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in own.chain(parts.iter().copied()) {
            // A comma separates pairs, so one inside a value is escaped.
            args.extend(["--set".to_owned(), format!("{key}={}", value.replace(',', "\\,"))]);
        }
        args
    }
}

/// The object with a kind and a name among rendered objects.
#[must_use]
pub fn find<'a>(rendered: &'a [DynamicObject], kind: &str, name: &str) -> Option<&'a DynamicObject> {
    rendered.iter().find(|object| {
        object.types.as_ref().is_some_and(|types| types.kind == kind)
            && object.metadata.name.as_deref() == Some(name)
    })
}

/// The image of the agent's container among rendered objects.
pub(crate) fn image_of(rendered: &[DynamicObject], names: &Names) -> Option<String> {
    let agents = find(rendered, "DaemonSet", &names.daemon_set)?;
    let agent = containers(std::slice::from_ref(agents)).find(|it| it["name"] == *names.container)?;
    agent["image"].as_str().map(str::to_owned)
}

/// Every container of the workloads among some objects, init containers included.
pub(crate) fn containers(objects: &[DynamicObject]) -> impl Iterator<Item = &Value> {
    objects.iter().flat_map(|object| {
        let spec = &object.data["spec"]["template"]["spec"];
        ["containers", "initContainers"].into_iter().filter_map(|key| spec[key].as_array()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn chart(division: Division, path: &Path) -> Chart {
        Chart {
            name: "bird".to_owned(),
            namespace: "net".to_owned(),
            config_map: Some("bird-config".to_owned()),
            helm: "/no/helm".into(),
            path: path.to_owned(),
            kubernetes: "v1.34.4".to_owned(),
            api: None,
            division,
            api_versions: &[],
            values_files: vec!["values.yaml".into()],
            values: vec![("global.tag".to_owned(), "v1".to_owned()), ("list".to_owned(), "a,b".to_owned())],
        }
    }

    #[test]
    fn values_that_select_parts_come_last() {
        let division = Division::Chart {
            without_config: &[("config.enabled", "false")],
            preflight: None,
            single: false,
            flags: &["--skip-tests"],
        };
        let chart = chart(division, Path::new("chart"));
        let args = chart.arguments(&[("config.enabled", "false")]);
        let expected = [
            "template",
            "bird",
            "chart",
            "--namespace=net",
            "--kube-version=v1.34.4",
            "--skip-tests",
            "--values=values.yaml",
            "--set",
            "global.tag=v1",
            "--set",
            "list=a\\,b",
            "--set",
            "config.enabled=false",
        ];
        assert_eq!(args, expected);
    }

    #[tokio::test]
    async fn missing_helm_is_named() {
        let error = chart(Division::PLAIN_CHART, Path::new("c")).render(Parts::All).await.unwrap_err();
        assert_eq!(error.to_string(), "/no/helm could not be started");
    }

    #[tokio::test]
    async fn manifests_of_a_folder_are_read_in_order_without_helm() {
        let folder = tempfile::tempdir().unwrap();
        let object = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        for (file, name) in [("2.yaml", "bird-check"), ("1.yaml", "bird-config"), ("3.yml", "bird")] {
            std::fs::write(folder.path().join(file), object(name)).unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "no manifest").unwrap();
        let division = Division::Manifests { preflight: Some("bird-check") };
        let chart = chart(division, folder.path());
        let names = async |parts| {
            let objects = chart.render(parts).await.unwrap();
            objects.into_iter().filter_map(|object| object.metadata.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Parts::All).await, ["bird-config", "bird"]);
        assert_eq!(names(Parts::WithoutConfig).await, ["bird"]);
        assert_eq!(names(Parts::Preflight).await, ["bird-check"]);
    }
}
