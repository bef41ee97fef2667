//! How text is laid out, on a terminal or elsewhere.

use std::path::Path;

use console::Term;
use textwrap::{Options, WordSeparator, WordSplitter};

/// How a summary is laid out.
#[derive(Clone, Debug)]
pub struct Layout<'a> {
    /// Columns of the terminal; none where the output is no terminal, so that no line is wrapped.
    pub width: Option<u16>,
    /// Whether to use colours.
    pub colour: bool,
    /// Whether to list flows without loss one by one.
    pub verbose: bool,
    /// The report to point to, where one was written.
    pub report: Option<&'a Path>,
}

impl Layout<'_> {
    /// The layout for stdout: neither verbose nor with a report.
    #[must_use]
    pub fn stdout() -> Self {
        let width = Term::stdout().size_checked().map(|(_, columns)| columns);
        Self { width, colour: console::colors_enabled(), verbose: false, report: None }
    }

    /// Whether a line of so many columns fits.
    pub(crate) fn fits(&self, columns: usize) -> bool {
        self.width.is_none_or(|width| columns <= usize::from(width))
    }

    /// Wraps a text after its first words; lines after the first are indented by `indent` columns.
    pub(crate) fn paragraph(&self, first: &str, indent: usize, text: &str) -> String {
        match self.width {
            None => format!("{first}{text}"),
            Some(width) => wrap(first, indent, text, width.into()),
        }
    }
}

/// Wraps a text at spaces, never inside of a word.
pub(crate) fn wrap(first: &str, indent: usize, text: &str, width: usize) -> String {
    let indent = " ".repeat(indent);
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}
