//! Verifies an edited text: two parsers read it, and only the decided keys may differ.

use std::collections::BTreeMap;

use yaml_edit::{Mapping, Scalar as ScalarNode, YamlFile, YamlNode};

use super::edit::Edited;
use super::{Decision, RebaseError};
use crate::configmap::{ConfigMap, NAME};
use crate::yaml::{Entry, Node, Value};

/// Compares the new text with the decisions.
///
/// # Errors
/// Names the first difference.
pub(super) fn verify(before: &ConfigMap, decisions: &[Decision], edited: &Edited) -> Result<(), RebaseError> {
    let unproven = |detail: String| RebaseError::Unproven { detail };
    let after = ConfigMap::read(&edited.text).map_err(|error| unproven(error.to_string()))?;
    let expected = expected(before, decisions);
    compare(&expected, &after.data()).map_err(unproven)?;
    compare_surroundings(before, &after).map_err(unproven)?;
    compare_metadata(before, &after, &edited.dropped).map_err(unproven)?;
    // Parsers differ on a block scalar without a final line end, so both read the text with one.
    let whole = if edited.text.ends_with('\n') { edited.text.clone() } else { format!("{}\n", edited.text) };
    let first = ConfigMap::read(&whole).map_err(|error| unproven(error.to_string()))?;
    let second = second_reading(&whole).map_err(unproven)?;
    let second: BTreeMap<_, _> = second.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    compare(&first.data(), &second)
        .map_err(|detail| unproven(format!("a second parser reads it differently: {detail}")))
}

/// Returns the keys and values that the new text must hold.
fn expected<'a>(before: &'a ConfigMap, decisions: &'a [Decision]) -> BTreeMap<&'a str, &'a str> {
    let mut data = before.data();
    for decision in decisions {
        data.remove(decision.old_key.as_deref().unwrap_or(&decision.key));
    }
    let after = decisions.iter().filter_map(|d| Some((d.key.as_str(), d.after.as_deref()?)));
    data.extend(after);
    data
}

fn compare(expected: &BTreeMap<&str, &str>, found: &BTreeMap<&str, &str>) -> Result<(), String> {
    for (key, value) in expected {
        match found.get(key) {
            Some(other) if other == value => {}
            Some(other) => return Err(format!("{key} would be {other:?} instead of {value:?}")),
            None => return Err(format!("{key} would be missing")),
        }
    }
    match found.keys().find(|key| !expected.contains_key(*key)) {
        Some(key) => Err(format!("{key} would be added")),
        None => Ok(()),
    }
}

fn compare_surroundings(before: &ConfigMap, after: &ConfigMap) -> Result<(), String> {
    let (old, new) = (before.surroundings(), after.surroundings());
    let same = old.len() == new.len()
        && old.iter().zip(&new).all(|((d1, i1, old), (d2, i2, new))| {
            (d1, i1, old.len()) == (d2, i2, new.len()) && old.iter().zip(new).all(|(a, b)| same_entry(a, b))
        });
    if same { Ok(()) } else { Err("something outside of the data of the ConfigMap would change".to_owned()) }
}

fn compare_metadata(before: &ConfigMap, after: &ConfigMap, dropped: &[String]) -> Result<(), String> {
    let entries = |config: &ConfigMap| -> Vec<Entry> {
        config.object().get("metadata").map_or(&[][..], Node::entries).to_vec()
    };
    let touched =
        |entry: &Entry| dropped.iter().any(|name| name.starts_with(&format!("metadata.{}", entry.key)));
    let (old, new) = (entries(before), entries(after));
    let old: Vec<_> = old.iter().filter(|entry| !touched(entry)).collect();
    let new: Vec<_> = new.iter().filter(|entry| !touched(entry)).collect();
    let same = old.len() == new.len() && old.iter().zip(&new).all(|(a, b)| same_entry(a, b));
    if same { Ok(()) } else { Err("metadata of the ConfigMap would change".to_owned()) }
}

fn same_entry(a: &Entry, b: &Entry) -> bool {
    a.key == b.key && same_node(&a.value, &b.value)
}

/// Compares the contents of two nodes, not their positions.
fn same_node(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Scalar { text: a, style: s, .. }, Value::Scalar { text: b, style: t, .. }) => {
            a == b && s == t
        }
        (Value::Sequence(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_node(a, b))
        }
        (Value::Mapping { entries: a, .. }, Value::Mapping { entries: b, .. }) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_entry(a, b))
        }
        _ => false,
    }
}

/// Reads the data with an independent parser.
fn second_reading(text: &str) -> Result<Vec<(String, String)>, String> {
    let parsed = YamlFile::parse(text);
    if let Some(error) = parsed.errors().first() {
        return Err(format!("a second parser cannot read it: {error}"));
    }
    let tree = parsed.tree();
    let mut found: Vec<Mapping> = Vec::new();
    for document in tree.documents() {
        let Some(mapping) = document.as_mapping() else { continue };
        let items = mapping.get_sequence("items");
        let inner =
            items.iter().flat_map(|items| items.values()).filter_map(|item| item.as_mapping().cloned());
        let here = std::iter::once(mapping.clone()).chain(inner);
        found.extend(here.filter(|mapping| text_of(mapping, "kind").as_deref() == Some("ConfigMap")));
    }
    let name = |mapping: &Mapping| text_of(&mapping.get_mapping("metadata")?, "name");
    let named = found.iter().find(|mapping| name(mapping).as_deref() == Some(NAME));
    let data = named.or(found.first()).and_then(|config| config.get_mapping("data"));
    let data = data.ok_or("a second parser does not find the data")?;
    let scalar = |node: YamlNode| node.as_scalar().map(ScalarNode::as_string);
    data.iter()
        .map(|(key, value)| Some((scalar(key)?, scalar(value)?)))
        .collect::<Option<_>>()
        .ok_or_else(|| "a second parser finds a value that is not a scalar".to_owned())
}

fn text_of(mapping: &Mapping, key: &str) -> Option<String> {
    mapping.get(key)?.as_scalar().map(ScalarNode::as_string)
}
