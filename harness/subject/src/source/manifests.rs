//! Objects of manifests, and of what a chart renders.

use std::path::Path;

use kube::api::DynamicObject;
use serde_json::{Value, json};
use serde_saphyr::DuplicateKeyPolicy;

use super::error::ChartError;

/// Reads the objects of a manifest, or of every manifest in a folder, in order of name.
///
/// # Errors
/// When a file cannot be read, or something in it is no object.
pub(crate) fn objects(path: &Path) -> Result<Vec<DynamicObject>, ChartError> {
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

/// Reads a stream of YAML documents; empty ones are left out. Of a key that occurs twice the last value holds, as for helm
/// and kubectl: charts that let users add keys to a ConfigMap repeat those that they set themselves.
pub(super) fn parse(text: &str) -> Result<Vec<DynamicObject>, String> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|e| e.to_string())?;
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(|document| serde_json::from_value(document).map_err(|e| e.to_string()))
        .collect()
}

/// Sets the address of the API server in containers in the network of their node, unless their manifest does: no one but
/// the subject translates Services there.
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

    #[test]
    fn documents_are_read_and_empty_ones_left_out() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: \"on\"\n";
        let objects = parse(text).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].data["data"]["k"], "on");
    }

    #[test]
    fn the_last_of_two_values_holds() {
        let text = "kind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: \"1\"\n  l: \"1\"\n  k: \"2\"\n";
        assert_eq!(parse(text).unwrap()[0].data["data"], json!({"k": "2", "l": "1"}));
    }

    #[rstest]
    #[case::set(json!({"hostNetwork": true, "containers": [{"name": "a"}]}), Some("10.0.0.1"))]
    #[case::set_by_the_manifest(
        json!({"hostNetwork": true, "containers": [
            {"name": "a", "env": [{"name": "KUBERNETES_SERVICE_HOST", "value": "api.lab"}]}
        ]}),
        Some("api.lab")
    )]
    #[case::in_the_pod_network(json!({"containers": [{"name": "a"}]}), None)]
    fn the_api_server_is_named_unless_the_manifest_does(#[case] pod: Value, #[case] host: Option<&str>) {
        let mut object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "bird"},
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
