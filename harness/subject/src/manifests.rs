//! Manifests that are installed as they are, without a chart.

use std::path::Path;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::chart::{ChartError, parse};

/// Reads the objects of a manifest, or of every manifest in a folder, in order of name.
///
/// # Errors
/// When a file cannot be read, or something in it is no object.
pub fn objects(path: &Path) -> Result<Vec<DynamicObject>, ChartError> {
    parse(&text(path)?).map_err(|reason| ChartError::Document { chart: path.to_owned(), reason })
}

fn text(path: &Path) -> Result<String, ChartError> {
    let read_error = |path: &Path| {
        let path = path.to_owned();
        move |source| ChartError::Read { path, source }
    };
    if path.is_file() {
        return std::fs::read_to_string(path).map_err(read_error(path));
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read_error(path))? {
        let file = entry.map_err(read_error(path))?.path();
        if file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            files.push(file);
        }
    }
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).map_err(read_error(file)));
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n---\n"))
}

/// Tells containers in the network of their node where the API server is, unless their manifest does: as the values
/// `k8sServiceHost` and `k8sServicePort` of charts do, for nodes on which nobody but the subject translates services.
pub(crate) fn name_api_server(object: &mut DynamicObject, (host, port): &(String, u16)) {
    let Some(pod) = object.data.pointer_mut("/spec/template/spec") else { return };
    if pod["hostNetwork"] != Value::Bool(true) {
        return;
    }
    for key in ["initContainers", "containers"] {
        for container in pod[key].as_array_mut().into_iter().flatten() {
            let Some(container) = container.as_object_mut() else { continue };
            let environment = container.entry("env").or_insert_with(|| json!([]));
            let Some(environment) = environment.as_array_mut() else { continue };
            if environment.iter().any(|variable| variable["name"] == "KUBERNETES_SERVICE_HOST") {
                continue;
            }
            environment.push(json!({"name": "KUBERNETES_SERVICE_HOST", "value": host}));
            environment.push(json!({"name": "KUBERNETES_SERVICE_PORT", "value": port.to_string()}));
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::told(json!({"hostNetwork": true, "containers": [{"name": "a"}]}), Some("10.0.0.1"))]
    #[case::knows_already(
        json!({"hostNetwork": true, "containers": [
            {"name": "a", "env": [{"name": "KUBERNETES_SERVICE_HOST", "value": "api.lab"}]}
        ]}),
        Some("api.lab")
    )]
    #[case::asks_through_the_service(json!({"containers": [{"name": "a"}]}), None)]
    fn api_server_is_named_where_nobody_else_does(#[case] pod: Value, #[case] host: Option<&str>) {
        let mut object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "cilium"},
            "spec": {"template": {"spec": pod}},
        }))
        .unwrap();
        name_api_server(&mut object, &("10.0.0.1".to_owned(), 6443));
        let environment = &object.data["spec"]["template"]["spec"]["containers"][0]["env"];
        let named: Vec<_> = environment
            .as_array()
            .into_iter()
            .flatten()
            .filter(|variable| variable["name"] == "KUBERNETES_SERVICE_HOST")
            .filter_map(|variable| variable["value"].as_str())
            .collect();
        assert_eq!(named, host.into_iter().collect::<Vec<_>>());
    }
}
