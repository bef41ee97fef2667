//! The published schemas of the files that users write, held against what is read.

use std::path::Path;

use schemars::JsonSchema;
use serde_json::Value;

/// Checks that `schemas/{name}.json` is the schema of the type, and returns it. Set `UPDATE_SCHEMAS=1` to write it anew.
pub(crate) fn published<T: JsonSchema>(name: &str) -> Value {
    let schema = schemars::schema_for!(T).to_value();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{name}.json"));
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert!(published == text, "{} is out of date: run with UPDATE_SCHEMAS=1", path.display());
    schema
}

/// What a schema finds wrong with a file.
pub(crate) fn errors(schema: &Value, text: &str) -> Vec<String> {
    let value: Value = serde_saphyr::from_str(text).unwrap();
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(&value).map(|error| error.to_string()).collect()
}
