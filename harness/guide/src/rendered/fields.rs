//! The fields in which two objects differ.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its path, such as `spec.template.spec.containers[cilium-agent].image`; items with a name are found by it.
    pub path: String,
    /// Its value before; absent if the object did not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its value after; absent if the object will not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Labels that name the chart and its version, which differ in every upgrade.
const VERSION_LABELS: [&str; 2] = ["helm.sh/chart", "app.kubernetes.io/version"];

/// Returns the fields that differ. Of a Secret, values are not compared and not shown.
pub(super) fn differing(before: &Value, after: &Value) -> Vec<Field> {
    let secret = before["kind"] == "Secret";
    let (old, new) = (flat(before), flat(after));
    let paths = old.keys().chain(new.keys().filter(|path| !old.contains_key(*path)));
    let differs = |path: &&String| match (old.get(*path), new.get(*path)) {
        (Some(before), Some(after)) => before != after && !(secret && is_secret(path)),
        _ => true,
    };
    let field = |path: &String| {
        let shown = |value: Option<&String>| match value {
            Some(_) if secret && is_secret(path) => Some("…".to_owned()),
            value => value.cloned(),
        };
        Field { path: path.clone(), before: shown(old.get(path)), after: shown(new.get(path)) }
    };
    paths.filter(differs).map(field).collect()
}

fn is_secret(path: &str) -> bool {
    ["data", "stringData"]
        .iter()
        .any(|key| path.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '['])))
}

/// Returns every scalar, list of scalars and empty map by its path.
fn flat(object: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        // Present on every object, or only written by helm.
        if !matches!(key.as_str(), "apiVersion" | "kind") {
            collect(key.clone(), value, &mut found);
        }
    }
    found
}

fn collect(path: String, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let labels = path.ends_with("metadata.labels");
            for (key, value) in
                map.iter().filter(|(key, _)| !(labels && VERSION_LABELS.contains(&key.as_str())))
            {
                let key = if key.contains('.') { format!("[{key}]") } else { format!(".{key}") };
                collect(format!("{path}{key}"), value, found);
            }
        }
        Value::Array(items) if !items.is_empty() && items.iter().all(|item| name(item).is_some()) => {
            for item in items {
                let name = name(item).unwrap_or_default();
                collect(format!("{path}[{name}]"), item, found);
            }
        }
        Value::String(text) => drop(found.insert(path, text.clone())),
        // A field without a value is none.
        Value::Null => {}
        other => drop(found.insert(path, other.to_string())),
    }
}

/// The name of an item of a list: of a container, a variable, a volume, a port or a mount.
fn name(item: &Value) -> Option<String> {
    let own = item.get("name").or_else(|| item.get("mountPath"))?.as_str()?;
    // A volume can be mounted more than once.
    let place = item.get("mountPath").and_then(Value::as_str).filter(|place| *place != own);
    Some(place.map_or_else(|| own.to_owned(), |place| format!("{own} at {place}")))
}
