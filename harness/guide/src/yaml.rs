//! YAML and JSON with positions: every node has its bytes, line and column.
//!
//! Findings and errors need positions in the file of the user, and a rebase splices text at byte positions.

use std::fmt;
use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScanError, Tag};

pub use granit_parser::ScalarStyle as Style;

/// Deepest nesting that is read; Kubernetes objects stay far below it.
const MAX_DEPTH: usize = 64;

/// A position in a file; both numbers start at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// A node of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub position: Position,
    /// Its bytes in the text; for a block scalar only its lines, without the header.
    pub bytes: Range<usize>,
    /// What it holds.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A scalar, with escapes processed.
    Scalar {
        /// The text.
        text: String,
        /// Its style.
        style: Style,
        /// Whether the tag `!!str` marks it as a string.
        string_tag: bool,
    },
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping, in file order; keys are scalars and unique.
    Mapping {
        /// The entries.
        entries: Vec<Entry>,
        /// Whether it is written with braces.
        flow: bool,
    },
}

/// One entry of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key starts.
    pub position: Position,
    /// Bytes of the key.
    pub bytes: Range<usize>,
    /// The value.
    pub value: Node,
}

/// YAML that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct YamlError {
    /// Where.
    pub position: Position,
    /// The cause and the remedy.
    pub message: String,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Node {
    /// Returns the value of a mapping's entry.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Returns the entries of a mapping; of anything else none.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping { entries, .. } => entries,
            _ => &[],
        }
    }

    /// Returns the items of a sequence; of anything else none.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// Returns the text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Tells whether it is absent in the YAML sense: `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, style: Style::Plain, string_tag: false }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

impl YamlError {
    pub(crate) fn at(position: Position, message: impl Into<String>) -> Self {
        Self { position, message: message.into() }
    }
}

/// Reads all documents of a text; empty ones are left out.
///
/// # Errors
/// Fails with the position on invalid YAML, duplicate or non-scalar keys, anchors and aliases.
pub fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    // kubectl reads it so: a block scalar at the end of a text without a line end has none in its value.
    options.block_scalar_eof_without_line_feed = true;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut reader = Reader { parser: Parser::new_from_str_with_options(text, options) };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event => documents.push(reader.node(event, &span, 0)?),
        }
        if documents.last().is_some_and(Node::is_null) {
            documents.pop();
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, granit_parser::Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(scan_error(&error)),
            None => Err(YamlError::at(Position::default(), "unexpected end of the YAML")),
        }
    }

    fn node(
        &mut self,
        event: Event<'a>,
        span: &granit_parser::Span,
        depth: usize,
    ) -> Result<Node, YamlError> {
        let start = position(span);
        let mut bytes = byte_range(span);
        if depth > MAX_DEPTH {
            return Err(YamlError::at(start, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.as_deref()),
            Event::Alias(..) => (1, None),
            _ => (0, None),
        };
        if anchor != 0 {
            return Err(YamlError::at(start, "anchors and aliases are not supported: repeat the value"));
        }
        let string_tag = string_tag(tag, start)?;
        let value = match event {
            Event::Scalar(text, style, ..) => Value::Scalar { text: text.into_owned(), style, string_tag },
            Event::SequenceStart(..) => {
                let (items, end) = self.sequence(depth)?;
                bytes.end = end;
                Value::Sequence(items)
            }
            Event::MappingStart(style, ..) => {
                let (entries, end) = self.mapping(depth)?;
                bytes.end = end;
                Value::Mapping { entries, flow: style == granit_parser::StructureStyle::Flow }
            }
            _ => return Err(YamlError::at(start, "a value is expected here")),
        };
        Ok(Node { position: start, bytes, value })
    }

    fn sequence(&mut self, depth: usize) -> Result<(Vec<Node>, usize), YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => return Ok((items, byte_range(&span).end)),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<(Vec<Entry>, usize), YamlError> {
        let mut entries = Vec::new();
        let mut keys = std::collections::HashMap::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, span) => return Ok((entries, byte_range(&span).end)),
                (event, span) => self.node(event, &span, depth + 1)?,
            };
            let Value::Scalar { text, .. } = key.value else {
                return Err(YamlError::at(key.position, "a key must be a single word or quoted text"));
            };
            if let Some(first) = keys.insert(text.clone(), key.position) {
                let message = format!("duplicate key {text:?}, first used at {first}: remove one of them");
                return Err(YamlError::at(key.position, message));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            entries.push(Entry { key: text, position: key.position, bytes: key.bytes, value });
        }
    }
}

fn string_tag(tag: Option<&Tag>, position: Position) -> Result<bool, YamlError> {
    match tag.map(ToString::to_string).as_deref() {
        None => Ok(false),
        Some("!!str" | "tag:yaml.org,2002:str" | "!") => Ok(true),
        Some(other) => Err(YamlError::at(position, format!("tag {other} is not supported: remove it"))),
    }
}

fn scan_error(error: &ScanError) -> YamlError {
    let marker = error.marker();
    let position = Position { line: marker.line(), column: marker.col() + 1 };
    YamlError::at(position, format!("invalid YAML: {}", error.info()))
}

fn position(span: &granit_parser::Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

/// A parser over a `str` always has byte offsets.
fn byte_range(span: &granit_parser::Span) -> Range<usize> {
    span.start.byte_offset().unwrap_or_default()..span.end.byte_offset().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn nodes_have_their_bytes() {
        let text = "a: 'x'\r\nb: |-\r\n  l1\r\n  # l2\r\nü: \"é\" # c\r\nd: [1, {e: f}]\r\n";
        let root = documents(text).unwrap().remove(0);
        let bytes = |key| &text[root.get(key).unwrap().bytes.clone()];
        assert_eq!(bytes("a"), "'x'");
        assert_eq!(root.get("b").unwrap().text(), Some("l1\n# l2"));
        assert_eq!(bytes("b"), "l1\r\n  # l2\r\n");
        assert_eq!(bytes("ü"), "\"é\"");
        assert_eq!(bytes("d"), "[1, {e: f}]");
        assert_eq!(root.get("d").unwrap().items()[1].position, Position { line: 6, column: 8 });
    }

    #[rstest]
    #[case::duplicate(
        "a: 1\nb:\n  c: 1\n  c: 2\n",
        "4:3: duplicate key \"c\", first used at 3:3: remove one of them"
    )]
    #[case::alias("a: &x 1\nb: *x\n", "1:7: anchors and aliases are not supported: repeat the value")]
    #[case::tag("a: !!binary x\n", "1:13: tag tag:yaml.org,2002:binary is not supported: remove it")]
    #[case::sequence_key("? [a]\n: b\n", "1:3: a key must be a single word or quoted text")]
    fn refuses(#[case] text: &str, #[case] message: &str) {
        assert_eq!(documents(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn refuses_deep_nesting_and_broken_text_without_a_panic() {
        assert!(documents(&"[".repeat(100_000)).is_err());
        assert!(documents(&"- ".repeat(100_000)).is_err());
        assert!(documents("a: \"open").is_err());
        assert!(documents("a: b: c").is_err());
    }

    #[test]
    fn a_block_scalar_ends_as_kubectl_reads_it() {
        let value = |text| documents(text).unwrap()[0].get("a").unwrap().text().unwrap().to_owned();
        assert_eq!(value("a: |\n  x"), "x");
        assert_eq!(value("a: |\n  x\n"), "x\n");
    }

    #[test]
    fn reads_json_and_several_documents() {
        assert_eq!(documents("---\n---\na: 1\n---\n# nothing\n").unwrap().len(), 1);
        assert_eq!(documents("[{\"a\": [\"\\u00e9\"]}]").unwrap()[0].items().len(), 1);
        assert_eq!(documents("").unwrap(), []);
    }
}
