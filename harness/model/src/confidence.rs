//! How sure an attribution is.

use crate::spelling::spelling;

/// How sure the attribution of an outage to an event is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The event fits, among other explanations.
    Low,
    /// The event fits well.
    Medium,
    /// The event fits well, and no other does.
    High,
}

spelling!(Confidence, "confidence", {
    Low => "low",
    Medium => "medium",
    High => "high",
});
