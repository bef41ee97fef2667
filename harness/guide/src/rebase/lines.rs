//! Lines of a text: where an entry ends, and which comments belong to it.

use crate::yaml::{Entry, Node, Style, Value};

/// Returns the comment lines directly above an entry.
pub(crate) fn comments_above(text: &str, entry: &Entry) -> Vec<String> {
    let above = &text[..line_start(text, entry.bytes.start)];
    let lines = above.lines().rev().map(str::trim).take_while(|line| line.starts_with('#'));
    let mut comments: Vec<_> = lines.map(ToOwned::to_owned).collect();
    comments.reverse();
    comments
}

/// Returns the end of an entry, its last line end included.
pub(crate) fn entry_end(text: &str, entry: &Entry) -> usize {
    node_end(text, &entry.value).max(line_end(text, entry.bytes.end))
}

fn node_end(text: &str, node: &Node) -> usize {
    match &node.value {
        Value::Scalar { style: Style::Literal | Style::Folded, .. } => block_end(text, node),
        Value::Mapping { entries, flow: false } if !entries.is_empty() => {
            entries.last().map_or(node.bytes.end, |entry| entry_end(text, entry))
        }
        Value::Sequence(items) if !text[..node.bytes.end].ends_with(']') => {
            items.last().map_or(node.bytes.end, |item| node_end(text, item))
        }
        _ => line_end(text, node.bytes.end),
    }
}

/// Returns the end of a block scalar; the parser's end can lie in the indentation of the next line.
fn block_end(text: &str, node: &Node) -> usize {
    let after_header = line_end(text, block_header(text, node));
    let keeps = keeps_blank_lines(text, node);
    let last_line = line_start(text, node.bytes.end);
    let mut end = if text[last_line..node.bytes.end].trim().is_empty() {
        last_line
    } else {
        line_end(text, node.bytes.end)
    };
    end = end.max(after_header);
    // Blank lines after the block are content only with `+`.
    while !keeps && end > after_header {
        let start = line_start(text, text[..end].strip_suffix('\n').map_or(end, str::len));
        if start < after_header || !text[start..end].trim().is_empty() {
            break;
        }
        end = start;
    }
    end
}

/// Returns the position of the `|` or `>` of a block scalar.
fn block_header(text: &str, node: &Node) -> usize {
    text[..node.bytes.start].rfind(['|', '>']).unwrap_or(node.bytes.start)
}

/// Tells whether a node is a block scalar whose trailing blank lines are content.
pub(crate) fn keeps_blank_lines(text: &str, node: &Node) -> bool {
    let block = matches!(node.value, Value::Scalar { style: Style::Literal | Style::Folded, .. });
    let header = block_header(text, node);
    let line = &text[header..line_end(text, header)];
    block && line.split('#').next().is_some_and(|indicators| indicators.contains('+'))
}

/// Returns the start of the line that holds a byte.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Returns the end of the line that holds a byte, its line end included.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}
