//! Reads the data files under `data/`: strictly, and each file on its first use.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use model::Minor;

/// How certain a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Read from a released document, manifest or chart.
    Exact,
    /// Read from a document or manifest of that period without a release tag.
    NearExact,
    /// Inferred from adjacent versions or other facts.
    Inferred,
}

/// An inclusive range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Span<T> {
    /// First value of the range.
    pub from: T,
    /// Last value of the range.
    pub to: T,
}

impl<T: Ord> Span<T> {
    /// Tells whether the value lies in the range.
    pub fn contains(&self, value: &T) -> bool {
        (&self.from..=&self.to).contains(&value)
    }
}

/// Returns the contents of a data file, by its name without extension; the build turns it into JSON.
macro_rules! embedded {
    ($name:literal) => {
        crate::data::load($name, include_str!(concat!(env!("OUT_DIR"), "/", $name, ".json")))
    };
}
pub(crate) use embedded;

/// Parses an embedded data file. The tests load every file, so a failure is a defect of this crate.
pub(crate) fn load<T: DeserializeOwned>(name: &str, text: &str) -> T {
    match serde_json::from_str(text) {
        Ok(data) => data,
        Err(error) => panic!("the data file {name}.yaml cannot be read: {error}"),
    }
}

/// A range of minors.
pub(crate) type Minors = Span<Minor>;
