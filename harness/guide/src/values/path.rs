//! Paths of values, such as `hubble.relay.enabled`.

use serde_json::{Map, Value};

use crate::configmap::plain_type;
use crate::yaml::{self, Entry, Node, Style};

/// The keys from the root of a values file to a value.
pub(super) type Path = Vec<String>;

/// One value of a file: a scalar, a list or an empty map.
#[derive(Clone, Debug)]
pub(super) struct Leaf<'a> {
    pub(super) path: Path,
    pub(super) entry: &'a Entry,
}

/// Reads a path as the data files have it.
pub(super) fn parse(text: &str) -> Path {
    text.split('.').map(ToOwned::to_owned).collect()
}

/// Writes a path; keys that have a dot are quoted.
pub(super) fn show(path: &[String]) -> String {
    let key = |key: &String| if key.contains('.') { format!("\"{key}\"") } else { key.clone() };
    path.iter().map(key).collect::<Vec<_>>().join(".")
}

/// Returns every value below a node, in file order.
pub(super) fn leaves(root: &Node) -> Vec<Leaf<'_>> {
    let mut found = Vec::new();
    collect(root, &mut Vec::new(), &mut found);
    found
}

fn collect<'a>(node: &'a Node, path: &mut Path, found: &mut Vec<Leaf<'a>>) {
    for entry in node.entries() {
        path.push(entry.key.clone());
        if entry.value.entries().is_empty() {
            found.push(Leaf { path: path.clone(), entry });
        } else {
            collect(&entry.value, path, found);
        }
        path.pop();
    }
}

/// Returns a node as helm reads it.
pub(super) fn json(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Scalar { text, style: Style::Plain, string_tag: false } => plain(text),
        yaml::Value::Scalar { text, .. } => Value::String(text.clone()),
        yaml::Value::Sequence(items) => Value::Array(items.iter().map(json).collect()),
        yaml::Value::Mapping { entries, .. } => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect())
        }
    }
}

fn plain(text: &str) -> Value {
    match plain_type(text) {
        Some("null") => Value::Null,
        Some("a boolean") => {
            Value::Bool(matches!(text.to_ascii_lowercase().as_str(), "y" | "yes" | "true" | "on"))
        }
        Some(_) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        None => Value::String(text.to_owned()),
    }
}

/// Returns a value as a word, however it is quoted.
pub(super) fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Sets a value in a tree; what is in the way is replaced.
pub(super) fn set(tree: &mut Value, path: &[String], value: Value) {
    let Some((key, rest)) = path.split_first() else {
        *tree = value;
        return;
    };
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    if let Some(map) = tree.as_object_mut() {
        set(map.entry(key.clone()).or_insert(Value::Null), rest, value);
    }
}

/// Removes a value from a tree, and the maps that it leaves empty.
pub(super) fn remove(tree: &mut Value, path: &[String]) {
    let (Some((key, rest)), Some(map)) = (path.split_first(), tree.as_object_mut()) else { return };
    if !rest.is_empty()
        && let Some(inner) = map.get_mut(key)
    {
        remove(inner, rest);
    }
    let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    if rest.is_empty() || map.get(key).is_some_and(empty) {
        map.remove(key);
    }
}

/// Returns the value at a path.
pub(super) fn get<'a>(tree: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |tree, key| tree.get(key))
}
