//! A version that is ready to be installed.

use model::Version;
use serde_json::Value;

use crate::source::Chart;

/// A version, and everything that its installation takes.
#[derive(Clone, Debug)]
pub struct Release {
    /// The version.
    pub version: Version,
    /// Where its objects come from.
    pub chart: Chart,
    /// Image of the agents.
    pub image: String,
    /// Helm values of the user; null without any.
    pub given: Value,
    /// Whether a guide documents the hazards of the charts.
    pub documented: bool,
    /// The Helm value that holds the tag of the images, where there is one.
    pub tag_value: Option<&'static str>,
}

impl Release {
    /// The same release with another tag of its images; without one, as it is.
    #[must_use]
    pub fn tagged(&self, tag: Option<&str>) -> Self {
        let mut release = self.clone();
        if let (Some(key), Some(tag)) = (self.tag_value, tag) {
            release.chart.values.push((key.to_owned(), tag.to_owned()));
        }
        release
    }
}
