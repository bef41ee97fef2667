//! The impact of a transition in a record: the guide's wording.

use model::Impact;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize as _, Deserializer, Serializer, de};

/// Writes the guide's wording.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn serialize<S: Serializer>(impact: &Impact, serializer: S) -> Result<S::Ok, S::Error> {
    model::wording::serialize(impact, serializer)
}

/// Reads the guide's wording. Records of transitions that the guide does not list may hold an empty text.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Impact, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(Impact::NotApplicable);
    }
    model::wording::deserialize(de::value::StringDeserializer::new(text))
}

/// The schema of the wording.
pub(super) struct Wording;

impl JsonSchema for Wording {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Impact".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = Impact::ALL.iter().map(|impact| impact.wording()).chain([""]).collect();
        json_schema!({ "type": "string", "enum": words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Record(#[serde(with = "super")] Impact);

    #[test]
    fn an_empty_impact_of_an_old_record_is_read_as_not_applicable() {
        let read = |json: &str| serde_json::from_str::<Record>(json).map(|record| record.0);
        assert_eq!(read("\"\"").unwrap(), Impact::NotApplicable);
        assert_eq!(read("\"Minimal to None\"").unwrap(), Impact::MinimalToNone);
        assert!(read("\"some\"").unwrap_err().to_string().contains("Clients must reconnect"));
        assert_eq!(serde_json::to_string(&Record(Impact::NotApplicable)).unwrap(), "\"N/A\"");
    }
}
