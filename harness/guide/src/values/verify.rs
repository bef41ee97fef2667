//! Verifies an edited text: it is read again and must have the values that were decided on.

use serde_json::Value;

use super::{ValuesError, path, root};

/// Compares the values of a text with the expected ones.
///
/// # Errors
/// Names the first difference.
pub(super) fn verify(text: &str, expected: &Value) -> Result<(), ValuesError> {
    let unproven = |detail: String| ValuesError::Unproven { detail };
    let found = match root::find(text) {
        Ok(root) => root.map_or_else(|| Value::Object(serde_json::Map::new()), |root| path::json(&root)),
        // A text whose last value went away has none of Cilium's.
        Err(ValuesError::NotValues { .. }) if expected.as_object().is_some_and(serde_json::Map::is_empty) => {
            return Ok(());
        }
        Err(error) => return Err(unproven(error.to_string())),
    };
    match difference(expected, &found, &mut Vec::new()) {
        Some(detail) => Err(unproven(detail)),
        None => Ok(()),
    }
}

fn difference(expected: &Value, found: &Value, at: &mut Vec<String>) -> Option<String> {
    let (Value::Object(old), Value::Object(new)) = (expected, found) else {
        return (expected != found)
            .then(|| format!("{} would be {found} instead of {expected}", path::show(at)));
    };
    for key in old.keys().chain(new.keys()) {
        at.push(key.clone());
        let found = match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) => difference(old, new, at),
            (Some(_), None) => Some(format!("{} would be missing", path::show(at))),
            (None, _) => Some(format!("{} would be added", path::show(at))),
        };
        if found.is_some() {
            return found;
        }
        at.pop();
    }
    None
}
