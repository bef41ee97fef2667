//! Turns decisions into text splices.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

use super::draft::{Draft, Slot};
use super::insert::{self, New};
use super::path::{self, Path};
use crate::rebase::lines::{entry_end, line_start};
use crate::splice::{self, Splice};
use crate::yaml::{self, Entry, Node, Style};

/// Returns the values that the new text must have.
pub(super) fn expected(before: &Value, draft: &Draft) -> Value {
    let mut after = before.clone();
    for slot in draft.slots.iter().filter(|slot| slot.is_changed()) {
        if let Some((old, _)) = &slot.before {
            path::remove(&mut after, old);
        }
    }
    for slot in draft.slots.iter().filter(|slot| slot.is_changed()) {
        if let Some(value) = &slot.value {
            path::set(&mut after, &slot.path, value.clone());
        }
    }
    after
}

impl Slot {
    fn is_changed(&self) -> bool {
        match (&self.before, &self.value) {
            (Some((old, before)), Some(after)) => *old != self.path || before != after,
            (before, after) => before.is_some() || after.is_some(),
        }
    }
}

/// Applies the decisions to the text.
pub(super) fn apply(text: &str, root: Option<&Node>, draft: &Draft, after: &Value) -> String {
    let changed: Vec<_> = draft.slots.iter().filter(|slot| slot.is_changed()).collect();
    if changed.is_empty() {
        return text.to_owned();
    }
    let mut editor = Editor {
        text,
        after,
        splices: Vec::new(),
        gone: BTreeSet::new(),
        replaced: BTreeMap::new(),
        inserts: BTreeMap::new(),
    };
    for slot in changed {
        editor.sort(slot, root);
    }
    match root {
        Some(root) if matches!(root.value, yaml::Value::Mapping { flow: true, .. }) => {
            editor.splice(root.bytes.clone(), insert::inline(after, Style::Plain));
            return editor.finish();
        }
        Some(root) => editor.walk(root, &mut Vec::new()),
        None => {}
    }
    // A map at the end of another one ends at the same byte, so that its lines come first.
    for (anchor, groups) in std::mem::take(&mut editor.inserts).into_iter().rev() {
        for new in groups {
            editor.insert(root, &anchor, &new);
        }
    }
    editor.finish()
}

struct Editor<'a> {
    text: &'a str,
    after: &'a Value,
    splices: Vec<Splice>,
    /// Values that leave their place.
    gone: BTreeSet<Path>,
    /// Values that change in their place.
    replaced: BTreeMap<Path, Value>,
    /// New values, by the map that takes them.
    inserts: BTreeMap<Path, Vec<New>>,
}

impl<'a> Editor<'a> {
    /// Plans the change of one value.
    fn sort(&mut self, slot: &'a Slot, root: Option<&'a Node>) {
        match (&slot.before, &slot.value) {
            (Some((old, _)), Some(value)) if *old == slot.path => {
                self.replaced.insert(old.clone(), value.clone());
            }
            (before, value) => {
                if let Some((old, _)) = before {
                    self.gone.insert(old.clone());
                }
                let Some(value) = value else { return };
                let anchor = insert::anchor(root, &slot.path);
                let place = &slot.path[..=anchor.len()];
                let taken = root.is_some_and(|root| find(root, place).is_some());
                if taken && before.as_ref().is_none_or(|(old, _)| old != place) {
                    // An entry without a value, or with an empty map, takes the new one.
                    let value = path::get(self.after, place).cloned().unwrap_or_default();
                    self.replaced.insert(place.to_vec(), value);
                    return;
                }
                let origin = before.as_ref().and_then(|(old, _)| find(root?, old));
                let near = origin.or_else(|| find(root?, slot.near.as_ref()?));
                let same = before.as_ref().is_some_and(|(_, old)| old == value);
                let map = root.and_then(|root| node_at(root, &anchor));
                let place = near.and_then(|near| insert::place(self.text, map?, near));
                let rest = &slot.path[anchor.len()..];
                New::group(self.inserts.entry(anchor).or_default(), place, rest)
                    .add(rest, origin, same, value);
            }
        }
    }

    /// Removes and replaces values.
    fn walk(&mut self, node: &Node, at: &mut Path) {
        for entry in node.entries() {
            at.push(entry.key.clone());
            if self.is_gone(entry, at) {
                self.remove(entry);
            } else if let Some(value) = self.replaced.get(at).cloned() {
                self.replace(entry, &value);
            } else if matches!(entry.value.value, yaml::Value::Mapping { flow: true, .. })
                && self.is_touched(at)
            {
                let value = path::get(self.after, at).cloned().unwrap_or_default();
                self.splice(entry.value.bytes.clone(), insert::inline(&value, Style::Plain));
                self.inserts.retain(|anchor, _| !anchor.starts_with(at));
            } else {
                self.walk(&entry.value, at);
            }
            at.pop();
        }
    }

    fn is_gone(&self, entry: &Entry, at: &Path) -> bool {
        path::get(self.after, at).is_none() || (self.gone.contains(at) && entry.value.entries().is_empty())
    }

    fn is_touched(&self, at: &Path) -> bool {
        let below = |path: &Path| path.starts_with(at);
        self.gone.iter().any(below) || self.replaced.keys().any(below) || self.inserts.keys().any(below)
    }

    fn remove(&mut self, entry: &Entry) {
        self.splice(line_start(self.text, entry.bytes.start)..entry_end(self.text, entry), String::new());
    }

    fn replace(&mut self, entry: &Entry, value: &Value) {
        let style = match &entry.value.value {
            yaml::Value::Scalar { style, .. } => *style,
            _ => Style::Plain,
        };
        if entry.value.bytes.is_empty() || self.text[entry.value.bytes.clone()].trim().is_empty() {
            let colon = entry.bytes.end + self.text[entry.bytes.end..].find(':').unwrap_or_default() + 1;
            self.splice(colon..colon, format!(" {}", insert::inline(value, Style::Plain)));
            return;
        }
        let bytes = match style {
            Style::Literal | Style::Folded => {
                let header =
                    entry.bytes.end + self.text[entry.bytes.end..].find(['|', '>']).unwrap_or_default();
                header..self.text[..entry_end(self.text, entry)].trim_end().len()
            }
            _ => {
                entry.value.bytes.start
                    ..self.text[..entry.value.bytes.end].trim_end().len().max(entry.value.bytes.start)
            }
        };
        self.splice(bytes, insert::inline(value, style));
    }

    fn insert(&mut self, root: Option<&Node>, anchor: &Path, new: &New) {
        let eol = splice::eol(self.text);
        let node = root.and_then(|root| node_at(root, anchor));
        let Some(last) = node.and_then(|node| node.entries().last()) else {
            let lines = new.lines(self.text, 0, eol);
            let end = self.text.len();
            self.splices.push(Splice { at: end..end, with: lines, whole_lines: true });
            return;
        };
        let indent = last.position.column - 1;
        let at = new.place.unwrap_or_else(|| entry_end(self.text, last));
        let lines = new.lines(self.text, indent, eol);
        self.splices.push(Splice { at: at..at, with: lines, whole_lines: true });
    }

    fn splice(&mut self, at: Range<usize>, with: String) {
        self.splices.push(Splice { at, with, whole_lines: false });
    }

    fn finish(self) -> String {
        splice::apply(self.text, self.splices)
    }
}

fn find<'a>(root: &'a Node, path: &[String]) -> Option<&'a Entry> {
    let (key, rest) = path.split_first()?;
    let entry = root.entries().iter().find(|entry| entry.key == *key)?;
    if rest.is_empty() { Some(entry) } else { find(&entry.value, rest) }
}

fn node_at<'a>(root: &'a Node, path: &[String]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, key| node.get(key))
}
