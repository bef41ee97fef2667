//! Text splices: edits of a text at byte positions.

use std::ops::Range;

/// The replacement of some bytes of a text.
pub(crate) struct Splice {
    /// The bytes.
    pub(crate) at: Range<usize>,
    /// The new text.
    pub(crate) with: String,
    /// Whether the new text must start at the beginning of a line.
    pub(crate) whole_lines: bool,
}

/// Applies splices to a text; those at one position keep their order.
pub(crate) fn apply(text: &str, mut splices: Vec<Splice>) -> String {
    // The sort is stable.
    splices.sort_by_key(|splice| (splice.at.start, splice.at.end));
    let mut edited = String::with_capacity(text.len() + 256);
    let mut done = 0;
    for splice in &splices {
        edited.push_str(text.get(done..splice.at.start).unwrap_or_default());
        if splice.whole_lines && !edited.is_empty() && !edited.ends_with('\n') {
            edited.push_str(eol(text));
        }
        edited.push_str(&splice.with);
        done = done.max(splice.at.end);
    }
    edited.push_str(&text[done..]);
    edited
}

/// Returns the line end of a text.
pub(crate) fn eol(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}
