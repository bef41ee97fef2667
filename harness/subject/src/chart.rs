//! Rendering a chart with helm, as the guide does.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use kube::api::DynamicObject;
use tokio::process::Command;

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
    /// A rendered document is no Kubernetes object.
    #[error("{} renders a document that is no Kubernetes object: {reason}", chart.display())]
    Document {
        /// The chart.
        chart: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A chart folder or archive, and the values that every rendering of it is given.
#[derive(Clone, Debug)]
pub struct Chart {
    /// helm 3.17; other versions render differently.
    pub helm: PathBuf,
    /// Folder or .tgz.
    pub path: PathBuf,
    /// Kubernetes version that is rendered for, such as `v1.34.4`.
    pub kubernetes: String,
    /// `--set` pairs.
    pub values: Vec<(String, String)>,
}

impl Chart {
    /// Renders the chart with further values.
    ///
    /// # Errors
    /// When helm fails, or renders something that is no object.
    pub async fn render(&self, more: &[(&str, &str)]) -> Result<Vec<DynamicObject>, ChartError> {
        let args = self.arguments(more);
        let output = command(&self.helm)
            .args(&args)
            .output()
            .await
            .map_err(|source| ChartError::Start { helm: self.helm.clone(), source })?;
        if !output.status.success() {
            let command = format!("{} {}", self.helm.display(), args.join(" "));
            let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(ChartError::Helm { command, output });
        }
        parse(&String::from_utf8_lossy(&output.stdout))
            .map_err(|reason| ChartError::Document { chart: self.path.clone(), reason })
    }

    /// Renders the chart's ConfigMap alone, as a manifest: the template that a rebase needs.
    ///
    /// # Errors
    /// When helm fails, or the chart has no ConfigMap.
    pub async fn config_map(&self) -> Result<String, ChartError> {
        let only = [("agent.enabled", "false"), ("operator.enabled", "false")];
        let objects = self.render(&only).await?;
        let found = objects.iter().find(|object| object.metadata.name.as_deref() == Some(crate::CONFIG_MAP));
        let document = |reason: String| ChartError::Document { chart: self.path.clone(), reason };
        let found = found.ok_or_else(|| document(format!("there is no {}", crate::CONFIG_MAP)))?;
        serde_saphyr::to_string(found).map_err(|e| document(e.to_string()))
    }

    fn arguments(&self, more: &[(&str, &str)]) -> Vec<String> {
        let mut args = vec![
            "template".to_owned(),
            "cilium".to_owned(),
            self.path.display().to_string(),
            format!("--namespace={}", crate::NAMESPACE),
            format!("--kube-version={}", self.kubernetes),
        ];
        let own = self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in own.chain(more.iter().copied()) {
            // A comma separates pairs, so one inside a value is escaped.
            args.extend(["--set".to_owned(), format!("{key}={}", value.replace(',', "\\,"))]);
        }
        args
    }
}

fn command(program: &Path) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
    let mut command = std::process::Command::new(program);
    command.stdin(Stdio::null());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

/// Reads a stream of YAML documents; empty ones are left out.
fn parse(text: &str) -> Result<Vec<DynamicObject>, String> {
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

    #[test]
    fn values_of_a_rendering_follow_those_of_the_chart() {
        let chart = Chart {
            helm: "helm".into(),
            path: "chart".into(),
            kubernetes: "v1.34.4".to_owned(),
            values: vec![("global.tag".to_owned(), "v1".to_owned())],
        };
        let args = chart.arguments(&[("config.enabled", "false"), ("list", "a,b")]);
        assert_eq!(
            args[5..],
            ["--set", "global.tag=v1", "--set", "config.enabled=false", "--set", "list=a\\,b"]
        );
    }

    #[tokio::test]
    async fn missing_helm_is_named() {
        let chart = Chart {
            helm: "/no/helm".into(),
            path: "c".into(),
            kubernetes: "v1.34.4".to_owned(),
            values: vec![],
        };
        assert_eq!(chart.render(&[]).await.unwrap_err().to_string(), "/no/helm could not be started");
    }
}
