//! What traffic notices of a transition.

use crate::spelling::spelling;

/// The upgrade guide's statement about what traffic notices of a transition.
///
/// Scenario files and the guide's data spell it in kebab case; run records and budgets use the guide's wording, by the
/// serde functions in [`wording`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impact {
    /// The guide makes no statement.
    NotApplicable,
    /// Hardly any packet is lost.
    MinimalToNone,
    /// All traffic may stop for a time; connections recover without reconnecting.
    TemporaryDisruption,
    /// Connections through a proxy are cut; clients must reconnect.
    ClientsMustReconnect,
}

spelling!(Impact, "impact", {
    NotApplicable => "not-applicable",
    MinimalToNone => "minimal-to-none",
    TemporaryDisruption => "temporary-disruption",
    ClientsMustReconnect => "clients-must-reconnect",
});

impl Impact {
    /// Returns the guide's wording, such as `Minimal to None`.
    #[must_use]
    pub const fn wording(self) -> &'static str {
        match self {
            Self::NotApplicable => "N/A",
            Self::MinimalToNone => "Minimal to None",
            Self::TemporaryDisruption => "Temporary disruption",
            Self::ClientsMustReconnect => "Clients must reconnect",
        }
    }

    /// Returns the impact with this wording, upper and lower case alike.
    #[must_use]
    pub fn from_wording(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|impact| impact.wording().eq_ignore_ascii_case(text))
    }
}

/// Serde functions for an [`Impact`] in the guide's wording: `#[serde(with = "model::wording")]`.
pub mod wording {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use super::Impact;

    /// Writes the guide's wording.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(impact: &Impact, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(impact.wording())
    }

    /// Reads the guide's wording.
    ///
    /// # Errors
    /// When the text is no wording of the guide; the message lists them all.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Impact, D::Error> {
        let text = String::deserialize(deserializer)?;
        Impact::from_wording(&text).ok_or_else(|| {
            let known: Vec<_> = Impact::ALL.iter().map(|impact| impact.wording()).collect();
            de::Error::custom(format!("{text:?} is no impact of the guide: write {}", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read_back() {
        for impact in Impact::ALL {
            assert_eq!(impact.as_str().parse(), Ok(*impact));
            assert_eq!(Impact::from_wording(&impact.wording().to_uppercase()), Some(*impact));
        }
        let error = "none".parse::<Impact>().unwrap_err().to_string();
        assert!(error.contains("minimal-to-none"), "{error}");
    }
}
