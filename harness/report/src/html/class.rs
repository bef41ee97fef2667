//! Classes of samples in the style sheet.

/// The name of a class of samples in the style sheet.
pub(super) fn css(class: &str) -> &'static str {
    match class {
        "lost" => "lost",
        "reset" => "reset",
        "refused" => "refused",
        "unreachable" => "unreachable",
        "slow" => "slow",
        "leak" => "leak",
        _ => "other",
    }
}
