//! New lines of a values file.

use serde_json::Value;

use super::path::Path;
use crate::rebase::lines::{entry_end, line_end, line_start};
use crate::rebase::scalar;
use crate::yaml::{Entry, Node, Style};

/// Values that are added to one map.
#[derive(Debug, Default)]
pub(super) struct New {
    /// The byte where the lines are added; the end of the map if absent.
    pub(super) place: Option<usize>,
    children: Vec<(String, Self)>,
    leaf: Option<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    /// The entry that it was before.
    origin: Option<Entry>,
    /// Whether the text of that entry is kept.
    same: bool,
    value: Value,
}

/// Returns the path of the deepest map with entries that takes a new value.
pub(super) fn anchor(root: Option<&Node>, path: &[String]) -> Path {
    let mut node = root;
    let mut anchor = Path::new();
    for key in &path[..path.len() - 1] {
        node = node.and_then(|node| node.get(key)).filter(|node| !node.entries().is_empty());
        if node.is_none() {
            break;
        }
        anchor.push(key.clone());
    }
    anchor
}

/// Returns the start of the entry of a map that an entry belongs to.
pub(super) fn place(text: &str, map: &Node, inner: &Entry) -> Option<usize> {
    let within = |entry: &&Entry| (entry.bytes.start..entry_end(text, entry)).contains(&inner.bytes.start);
    map.entries().iter().find(within).map(|entry| line_start(text, entry.bytes.start))
}

/// Writes a value on one line, in the given style if possible.
pub(super) fn inline(value: &Value, style: Style) -> String {
    match value {
        Value::String(text) => scalar::inline(text, style),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| inline(item, Style::Plain)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{}: {}", scalar::inline(key, Style::Plain), inline(value, Style::Plain))
            };
            format!("{{{}}}", map.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

impl New {
    /// Adds a value below this map.
    pub(super) fn add(&mut self, path: &[String], origin: Option<&Entry>, same: bool, value: &Value) {
        let Some((key, rest)) = path.split_first() else {
            self.leaf = Some(Leaf { origin: origin.cloned(), same, value: value.clone() });
            return;
        };
        let at = self.children.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            self.children.push((key.clone(), Self::default()));
            self.children.len() - 1
        });
        self.children[at].1.add(rest, origin, same, value);
    }

    /// Returns the group that takes a value: one that has its map already, or one at the same place.
    pub(super) fn group<'a>(
        groups: &'a mut Vec<Self>,
        place: Option<usize>,
        path: &[String],
    ) -> &'a mut Self {
        let shares =
            |new: &Self| path.len() > 1 && new.children.iter().any(|(key, _)| Some(key) == path.first());
        let found =
            groups.iter().position(shares).or_else(|| groups.iter().position(|new| new.place == place));
        let at = found.unwrap_or_else(|| {
            groups.push(Self { place, ..Self::default() });
            groups.len() - 1
        });
        &mut groups[at]
    }

    /// Writes the new lines.
    pub(super) fn lines(&self, text: &str, indent: usize, eol: &str) -> String {
        let child = |(key, child): &(String, Self)| {
            let key = scalar::inline(key, Style::Plain);
            match &child.leaf {
                Some(leaf) => format!("{:indent$}{key}{}{eol}", "", leaf.tail(text, indent)),
                None => format!("{:indent$}{key}:{eol}{}", "", child.lines(text, indent + 2, eol)),
            }
        };
        self.children.iter().map(child).collect()
    }
}

impl Leaf {
    /// Returns the text after the key.
    fn tail(&self, text: &str, indent: usize) -> String {
        match &self.origin {
            Some(origin) if self.same => moved(text, origin, indent),
            Some(origin) if is_one_line(text, origin) => {
                let (key, value) = (&origin.bytes, &origin.value.bytes);
                let end = line_end(text, value.end);
                let comment = text[value.end..end].trim_end_matches(['\r', '\n']);
                format!("{}{}{comment}", &text[key.end..value.start], inline(&self.value, Style::Plain))
            }
            _ => format!(": {}", inline(&self.value, Style::Plain)),
        }
    }
}

/// Tells whether an entry is a scalar that has a line to itself.
fn is_one_line(text: &str, entry: &Entry) -> bool {
    let line = line_start(text, entry.bytes.start)..line_end(text, entry.bytes.start);
    let rest = text[entry.value.bytes.end..].trim_start_matches([' ', '\t']);
    entry.value.text().is_some()
        && line.contains(&entry.value.bytes.start)
        && entry.value.bytes.end <= line.end
        && text[line.start..entry.bytes.start].trim().is_empty()
        && !entry.value.bytes.is_empty()
        && rest.chars().next().is_none_or(|next| matches!(next, '#' | '\r' | '\n'))
}

/// Returns the text after the key of an entry, indented for its new place.
fn moved(text: &str, entry: &Entry, indent: usize) -> String {
    let line = &text[line_start(text, entry.bytes.start)..entry.bytes.start];
    if !line.trim().is_empty() {
        // In a map with braces the rest of the line belongs to others.
        return text[entry.bytes.end..entry.value.bytes.end].to_owned();
    }
    let tail = text[entry.bytes.end..entry_end(text, entry)].trim_end_matches(['\r', '\n']);
    let old = entry.position.column - 1;
    let mut lines = tail.split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |mut all, line| {
        all.push('\n');
        if indent >= old && !line.trim().is_empty() {
            all.push_str(&" ".repeat(indent - old));
            all.push_str(line);
        } else {
            let spaces = line.len() - line.trim_start_matches(' ').len();
            all.push_str(&line[spaces.min(old.saturating_sub(indent))..]);
        }
        all
    })
}
