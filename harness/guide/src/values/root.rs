//! Finds the values in a file: at its root, below the name of a chart, or in a HelmRelease.

use super::{ValuesError, known};
use crate::yaml::{self, Node, Value, YamlError};

/// Where the values may be in a file that has other things as well.
const PLACES: [&[&str]; 3] = [&["cilium"], &["spec", "values"], &["spec", "source", "helm", "valuesObject"]];

/// Returns the node with the values; `None` for an empty file.
pub(super) fn find(text: &str) -> Result<Option<Node>, ValuesError> {
    let mut documents = yaml::documents(text)?;
    if documents.len() > 1 {
        let message = "a values file has one document: split it".to_owned();
        return Err(YamlError { position: documents[1].position, message }.into());
    }
    let Some(document) = documents.pop() else { return Ok(None) };
    if !matches!(document.value, Value::Mapping { .. }) {
        return Err(ValuesError::NotValues { position: document.position });
    }
    if document.entries().is_empty() || (is_values(&document) && document.get("kind").is_none()) {
        return Ok(Some(document));
    }
    let inner = PLACES.iter().find_map(|place| place.iter().try_fold(&document, |node, key| node.get(key)));
    match (inner.filter(|node| is_values(node)), document.get("kind").and_then(Node::text)) {
        (Some(node), _) => Ok(Some(node.clone())),
        (None, Some(kind)) => Err(ValuesError::Object { position: document.position, kind: kind.to_owned() }),
        (None, None) => Err(ValuesError::NotValues { position: document.position }),
    }
}

/// Tells whether one of the keys is a value of Cilium's chart.
fn is_values(node: &Node) -> bool {
    node.entries().iter().any(|entry| known::is_of_cilium(std::slice::from_ref(&entry.key)))
}
