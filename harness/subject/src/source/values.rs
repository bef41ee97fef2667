//! Helm values, merged as helm merges them.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::input::InputError;

/// Merges files of values and `--set` pairs, later ones over earlier ones: maps are merged, lists are replaced, a null
/// removes a key.
pub(crate) fn merged(files: &[PathBuf], pairs: &[(String, String)]) -> Result<Value, InputError> {
    let mut all = Value::Object(Map::new());
    for file in files {
        json_patch::merge(&mut all, &read(file)?);
    }
    for (key, value) in pairs {
        set(&mut all, &path(key), scalar(value));
    }
    Ok(all)
}

/// Reads a file of values.
fn read(file: &PathBuf) -> Result<Value, InputError> {
    let cannot = |e: String| InputError(format!("the values {} cannot be read: {e}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| cannot(e.to_string()))?;
    let values: Map<String, Value> = serde_saphyr::from_str(&text)
        .map_err(|e| cannot(format!("it is not a mapping: {}", e.without_snippet())))?;
    Ok(Value::Object(values))
}

/// The parts of a key such as `a.b\.c[0]`; a dot after a backslash does not separate parts.
fn path(key: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = key.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' => parts.push(String::new()),
            '[' => parts.push("[".to_owned()),
            ']' => {}
            _ => {
                let literal = if character == '\\' { characters.next() } else { Some(character) };
                if let Some(part) = parts.last_mut() {
                    part.extend(literal);
                }
            }
        }
    }
    parts
}

/// Sets a value at a path; an index such as `[0` is a position in a list.
fn set(place: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *place = value;
        return;
    };
    if let Some(index) = first.strip_prefix('[').and_then(|index| index.parse::<usize>().ok()) {
        if !place.is_array() {
            *place = Value::Array(Vec::new());
        }
        if let Some(list) = place.as_array_mut() {
            list.resize(list.len().max(index.min(MOST_ITEMS) + 1), Value::Null);
            if let Some(item) = list.get_mut(index) {
                set(item, rest, value);
            }
        }
        return;
    }
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    if let Some(map) = place.as_object_mut() {
        if rest.is_empty() && value.is_null() {
            map.remove(first);
        } else {
            set(map.entry(first.clone()).or_insert(Value::Null), rest, value);
        }
    }
}

/// The longest list that an index makes, as in helm.
const MOST_ITEMS: usize = 65_536;

/// What `--set` makes of a text: a null, a truth value, an integer or a string.
fn scalar(text: &str) -> Value {
    match text {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // A leading zero makes it a string.
        _ if text != "0" && text.starts_with('0') => text.into(),
        _ => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
    }
}

/// The given values, by their first part, that a chart with these own values ignores: it has no such value, or one that
/// is not a mapping where a mapping is given.
pub(crate) fn ignored(own: &Value, given: &Value) -> Vec<String> {
    let ignored = |(key, value): (&String, &Value)| {
        let known = own.get(key);
        let scalar = value.is_object() && known.is_some_and(|known| !known.is_object() && !known.is_null());
        (known.is_none() || scalar).then(|| key.clone())
    };
    given.as_object().into_iter().flatten().filter_map(ignored).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::maps_are_merged("a: {b: 1}", "a: {c: 2}", &[], json!({"a": {"b": 1, "c": 2}}))]
    #[case::deep("a: {b: {c: 1, d: 1}}", "a: {b: {c: 2}}", &[], json!({"a": {"b": {"c": 2, "d": 1}}}))]
    #[case::lists_are_replaced("a: [1, 2]", "a: [3]", &[], json!({"a": [3]}))]
    #[case::null_removes("a: {b: 1, c: 1}", "a: {b: null}", &[], json!({"a": {"c": 1}}))]
    #[case::map_over_scalar("a: true", "a: {b: 1}", &[], json!({"a": {"b": 1}}))]
    #[case::pairs_over_files("a: {b: 1, c: 1}", "{}", &["a.b=2"], json!({"a": {"b": 2, "c": 1}}))]
    #[case::deep_pairs("{}", "{}", &["a.b.c=x", "a.b.d=true"], json!({"a": {"b": {"c": "x", "d": true}}}))]
    #[case::escaped_dot("{}", "{}", &["a.b\\.c=1"], json!({"a": {"b.c": 1}}))]
    #[case::index("a: [p, q]", "{}", &["a[0]=z", "b[0].c=1"], json!({"a": ["z", "q"], "b": [{"c": 1}]}))]
    #[case::null_pair("a: {b: 1, c: 1}", "{}", &["a.b=null"], json!({"a": {"c": 1}}))]
    #[case::leading_zero("{}", "{}", &["a=012"], json!({"a": "012"}))]
    fn values_are_merged_as_helm_merges_them(
        #[case] first: &str,
        #[case] second: &str,
        #[case] pairs: &[&str],
        #[case] expected: Value,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let files = [("1.yaml", first), ("2.yaml", second)].map(|(name, text)| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        });
        let pairs: Vec<_> = pairs.iter().map(|pair| pair.split_once('=').unwrap()).collect();
        let pairs: Vec<_> =
            pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(merged(&files, &pairs).unwrap(), expected);
    }

    #[rstest]
    #[case::known(json!({"tunnel": "vxlan", "operator": {"replicas": 1}}), &[])]
    #[case::removed_prefix(json!({"global": {"tunnel": "vxlan"}}), &["global"])]
    #[case::map_for_a_scalar(json!({"agent": {"keepDeprecatedLabels": true}}), &["agent"])]
    #[case::a_null_accepts_anything(json!({"upgradeCompatibility": "1.8"}), &[])]
    fn ignored_values_are_found(#[case] given: Value, #[case] expected: &[&str]) {
        let own = json!({"agent": true, "operator": {"enabled": true}, "tunnel": "vxlan", "upgradeCompatibility": null});
        assert_eq!(ignored(&own, &given), expected);
    }
}
