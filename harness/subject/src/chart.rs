//! Rendering a chart with helm, as the guide does.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use kube::api::DynamicObject;
use tokio::process::Command;

use crate::layout::{Layout, Parts};
use crate::manifests;

/// A chart that could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// helm could not be started.
    #[error("{} could not be started", helm.display())]
    Start {
        /// The program.
        helm: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// helm refused the chart.
    #[error("`{command}` failed:\n{output}")]
    Helm {
        /// The command line.
        command: String,
        /// What it printed.
        output: String,
    },
    /// A manifest could not be read.
    #[error("{} could not be read", path.display())]
    Read {
        /// File or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A rendered document is no Kubernetes object.
    #[error("{} holds a document that is no Kubernetes object: {reason}", chart.display())]
    Document {
        /// The chart.
        chart: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A chart or manifests, and the values that every rendering of a chart is given.
#[derive(Clone, Debug)]
pub struct Chart {
    /// helm 3.17; other versions render differently.
    pub helm: PathBuf,
    /// Folder or .tgz; for manifests a file or a folder.
    pub path: PathBuf,
    /// Kubernetes version that is rendered for, such as `v1.34.4`.
    pub kubernetes: String,
    /// Address and port of the API server, for manifests; charts are told by their values.
    pub api: Option<(String, u16)>,
    /// How it is divided.
    pub layout: Layout,
    /// Files of values, later ones over earlier ones.
    pub values_files: Vec<PathBuf>,
    /// `--set` pairs, over all files.
    pub values: Vec<(String, String)>,
}

impl Chart {
    /// Renders parts of it.
    ///
    /// # Errors
    /// When helm fails, a manifest cannot be read, or something in it is no object.
    pub async fn render(&self, parts: Parts) -> Result<Vec<DynamicObject>, ChartError> {
        let mut objects = match self.layout {
            Layout::Manifests => manifests::objects(&self.path)?,
            Layout::Subcharts | Layout::Whole => {
                let text = helm(&self.helm, &self.arguments(parts)).await?;
                parse(&text).map_err(|reason| self.document(reason))?
            }
        };
        objects
            .retain(|object| object.metadata.name.as_deref().is_none_or(|name| self.layout.has(parts, name)));
        if let (Layout::Manifests, Some(api)) = (self.layout, &self.api) {
            objects.iter_mut().for_each(|object| manifests::name_api_server(object, api));
        }
        Ok(objects)
    }

    /// Reads the values that the chart itself sets.
    ///
    /// # Errors
    /// When helm fails, or the values are no mapping.
    pub async fn own_values(&self) -> Result<serde_json::Value, ChartError> {
        let args = ["show".to_owned(), "values".to_owned(), self.path.display().to_string()];
        let text = helm(&self.helm, &args).await?;
        serde_saphyr::from_str(&text).map_err(|e| self.document(e.to_string()))
    }

    /// Renders the chart's ConfigMap alone, as a manifest: the template that a rebase needs.
    ///
    /// # Errors
    /// When helm fails, or the chart has no ConfigMap.
    pub async fn config_map(&self) -> Result<String, ChartError> {
        let objects = self.render(Parts::All).await?;
        let found = find(&objects, "ConfigMap", crate::CONFIG_MAP);
        let found = found.ok_or_else(|| self.document(format!("there is no {}", crate::CONFIG_MAP)))?;
        serde_saphyr::to_string(found).map_err(|e| self.document(e.to_string()))
    }

    fn document(&self, reason: String) -> ChartError {
        ChartError::Document { chart: self.path.clone(), reason }
    }

    fn arguments(&self, parts: Parts) -> Vec<String> {
        let mut args = vec![
            "template".to_owned(),
            "cilium".to_owned(),
            self.path.display().to_string(),
            format!("--namespace={}", crate::NAMESPACE),
            format!("--kube-version={}", self.kubernetes),
        ];
        args.extend(self.values_files.iter().map(|file| format!("--values={}", file.display())));
        let own = self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in own.chain(self.layout.values(parts).iter().copied()) {
            // A comma separates pairs, so one inside a value is escaped.
            args.extend(["--set".to_owned(), format!("{key}={}", value.replace(',', "\\,"))]);
        }
        args
    }
}

/// Runs helm and returns what it prints.
///
/// # Errors
/// When it cannot be started, or ends with another code than 0.
pub async fn helm(program: &Path, args: &[String]) -> Result<String, ChartError> {
    let output = command(program)
        .args(args)
        .output()
        .await
        .map_err(|source| ChartError::Start { helm: program.to_owned(), source })?;
    if !output.status.success() {
        let command = format!("{} {}", program.display(), args.join(" "));
        let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ChartError::Helm { command, output });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn command(program: &Path) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
    let mut command = std::process::Command::new(program);
    command.stdin(Stdio::null());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

/// The object of a kind and a name among rendered ones.
#[must_use]
pub fn find<'a>(rendered: &'a [DynamicObject], kind: &str, name: &str) -> Option<&'a DynamicObject> {
    rendered.iter().find(|object| {
        object.types.as_ref().is_some_and(|types| types.kind == kind)
            && object.metadata.name.as_deref() == Some(name)
    })
}

/// Reads a stream of YAML documents; empty ones are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<DynamicObject>, String> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).map_err(|e| e.to_string())?;
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(|document| serde_json::from_value(document).map_err(|e| e.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_and_empty_ones_left_out() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: \"on\"\n";
        let objects = parse(text).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].data["data"]["k"], "on");
    }

    fn chart(layout: Layout, path: &Path) -> Chart {
        Chart {
            helm: "/no/helm".into(),
            path: path.to_owned(),
            kubernetes: "v1.34.4".to_owned(),
            api: None,
            layout,
            values_files: vec!["values.yaml".into()],
            values: vec![("global.tag".to_owned(), "v1".to_owned()), ("list".to_owned(), "a,b".to_owned())],
        }
    }

    #[test]
    fn what_leaves_parts_out_follows_the_values() {
        let args = chart(Layout::Subcharts, Path::new("chart")).arguments(Parts::WithoutConfig);
        let expected = [
            "--values=values.yaml",
            "--set",
            "global.tag=v1",
            "--set",
            "list=a\\,b",
            "--set",
            "config.enabled=false",
        ];
        assert_eq!(args[5..], expected);
    }

    #[tokio::test]
    async fn missing_helm_is_named() {
        let error = chart(Layout::Whole, Path::new("c")).render(Parts::All).await.unwrap_err();
        assert_eq!(error.to_string(), "/no/helm could not be started");
    }

    #[tokio::test]
    async fn manifests_of_a_folder_are_read_in_order_without_helm() {
        let folder = tempfile::tempdir().unwrap();
        let object = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        for (file, name) in
            [("2.yaml", "cilium-pre-flight-check"), ("1.yaml", "cilium-config"), ("3.yml", "cilium")]
        {
            std::fs::write(folder.path().join(file), object(name)).unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "no manifest").unwrap();
        let chart = chart(Layout::Manifests, folder.path());
        let names = async |parts| {
            let objects = chart.render(parts).await.unwrap();
            objects.into_iter().filter_map(|object| object.metadata.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Parts::All).await, ["cilium-config", "cilium"]);
        assert_eq!(names(Parts::WithoutConfig).await, ["cilium"]);
        assert_eq!(names(Parts::Preflight).await, ["cilium-pre-flight-check"]);
    }
}
