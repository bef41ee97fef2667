//! The arms of a scenario.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way through a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// As the guide says.
    Followed,
    /// With something left out.
    Skipped,
}

impl Arm {
    /// Every arm.
    pub const ALL: [Self; 2] = [Self::Followed, Self::Skipped];

    /// The spelling in files and options.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Followed => "followed",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Arm {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let arm = Self::ALL.into_iter().find(|arm| arm.as_str() == word);
        arm.ok_or_else(|| format!("{word} is not an arm: write followed or skipped"))
    }
}
