//! Turns decisions into text splices.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::lines::{comments_above, entry_end, keeps_blank_lines, line_end, line_start};
use super::template::Template;
use super::{Decision, RebaseError, Request, scalar};
use crate::configmap::ConfigMap;
use crate::keys;
use crate::splice::{self, Splice};
use crate::yaml::{Entry, Node, Style, Value};

/// Metadata that the API server adds.
const SERVER_MADE: [&str; 7] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The annotation that kubectl adds.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The edited text.
pub(super) struct Edited {
    pub(super) text: String,
    pub(super) dropped: Vec<String>,
}

/// Applies the decisions to the text.
pub(super) fn apply<'a>(
    text: &'a str,
    config: &'a ConfigMap,
    decisions: &'a [Decision],
    request: &'a Request<'_>,
) -> Result<Edited, RebaseError> {
    let old_name = |decision: &'a Decision| decision.old_key.as_deref().unwrap_or(&decision.key);
    let (removed, changed): (Vec<_>, Vec<_>) = decisions
        .iter()
        .filter(|decision| decision.before != decision.after)
        .partition(|d| d.after.is_none());
    let removed = removed.into_iter().map(old_name).collect();
    let rewritten = changed.into_iter().map(old_name).collect();
    let mut editor =
        Editor { text, entries: config.entries(), removed, rewritten, request, splices: Vec::new() };
    let mut inserts = BTreeMap::<usize, Vec<&Decision>>::new();
    for decision in decisions.iter() {
        let name = decision.old_key.as_ref().unwrap_or(&decision.key);
        // A key that is new may have the name of one that is renamed.
        match editor.entries.iter().find(|entry| decision.before.is_some() && entry.key == *name) {
            Some(entry) => editor.change(entry, decision)?,
            None if decision.after.is_some() => {
                inserts.entry(editor.place_for(config, &decision.key)).or_default().push(decision);
            }
            None => {}
        }
    }
    for (at, mut decisions) in inserts {
        if editor.is_sorted() {
            decisions.sort_by(|a, b| a.key.cmp(&b.key));
        }
        editor.insert(at, &decisions);
    }
    let dropped = editor.drop_server_metadata(config.object())?;
    Ok(Edited { text: editor.finish(), dropped })
}

struct Editor<'a> {
    text: &'a str,
    entries: &'a [Entry],
    removed: BTreeSet<&'a str>,
    rewritten: BTreeSet<&'a str>,
    request: &'a Request<'a>,
    splices: Vec<Splice>,
}

impl Editor<'_> {
    fn change(&mut self, entry: &Entry, decision: &Decision) -> Result<(), RebaseError> {
        let Some(after) = &decision.after else { return self.remove(entry) };
        if decision.old_key.is_some() {
            self.splice(entry.bytes.clone(), decision.key.clone());
        }
        if decision.before.as_ref() != Some(after) {
            self.set_value(entry, after);
        }
        if self.request.comments && comments_above(self.text, entry).is_empty() {
            let start = line_start(self.text, entry.bytes.start);
            self.insert_lines(start, &self.template_comments(&decision.key));
        }
        Ok(())
    }

    fn template_comments(&self, key: &str) -> Vec<String> {
        match self.request.template {
            Some(template) => template.comments(key).to_vec(),
            None => keys::comment(key).map(|text| format!("# {text}")).into_iter().collect(),
        }
    }

    fn set_value(&mut self, entry: &Entry, after: &str) {
        let Value::Scalar { style, .. } = entry.value.value else { return };
        if !matches!(style, Style::Literal | Style::Folded) {
            self.splice(entry.value.bytes.clone(), scalar::inline(after, style));
            return;
        }
        let header = entry.bytes.end + self.text[entry.bytes.end..].find(['|', '>']).unwrap_or_default();
        let end = entry_end(self.text, entry);
        let eol = if self.text[..end].ends_with('\n') { splice::eol(self.text) } else { "" };
        self.splice(header..end, format!("{}{eol}", scalar::inline(after, style)));
    }

    fn remove(&mut self, entry: &Entry) -> Result<(), RebaseError> {
        let start = line_start(self.text, entry.bytes.start);
        if !self.text[start..entry.bytes.start].trim_matches([' ', '?']).is_empty() {
            return Err(RebaseError::Shape { position: entry.position, what: entry.key.clone() });
        }
        let mut end = entry_end(self.text, entry);
        // A preceding block scalar that keeps trailing blank lines would absorb the blank lines after this entry.
        let before = self.entries.iter().rev().skip_while(|other| other.bytes.start >= entry.bytes.start);
        let before = before.into_iter().find(|other| !self.removed.contains(other.key.as_str()));
        let stays = |before: &&Entry| !self.rewritten.contains(before.key.as_str());
        if before.filter(stays).is_some_and(|before| keeps_blank_lines(self.text, &before.value)) {
            let blank = |end: usize| self.text[end..line_end(self.text, end)].trim().is_empty();
            while end < self.text.len() && blank(end) {
                end = line_end(self.text, end);
            }
        }
        self.splice(start..end, String::new());
        Ok(())
    }

    fn is_sorted(&self) -> bool {
        self.entries.is_sorted_by(|a, b| a.key < b.key)
    }

    /// Finds the byte for a new key: in order if the file is sorted, else after the key that precedes it in
    /// the template, else at the end.
    fn place_for(&self, config: &ConfigMap, key: &str) -> usize {
        let before = if self.is_sorted() {
            self.entries.iter().rfind(|entry| entry.key.as_str() < key)
        } else {
            let template = self.request.template.into_iter().flat_map(Template::keys);
            let earlier: Vec<_> = template.take_while(|name| *name != key).collect();
            let found = earlier.iter().rev().find_map(|name| self.entries.iter().find(|e| e.key == *name));
            found.or(self.entries.last())
        };
        let Some(before) = before else {
            let data = config.data_entry().map_or(0, |data| data.bytes.end);
            return line_end(self.text, data);
        };
        let end = entry_end(self.text, before);
        let block = matches!(before.value.value, Value::Scalar { style: Style::Literal | Style::Folded, .. });
        // After a block scalar at the end of a text without a final line end, the scalar would gain one.
        if block && !self.text[..end].ends_with('\n') {
            return line_start(self.text, before.bytes.start);
        }
        end
    }

    fn insert(&mut self, at: usize, decisions: &[&Decision]) {
        let mut lines = Vec::new();
        for decision in decisions {
            let value = decision.after.as_deref().unwrap_or_default();
            lines.extend(self.template_comments(&decision.key));
            lines.extend(scalar::entry(&decision.key, value));
        }
        self.insert_lines(at, &lines);
    }

    /// Inserts lines, indented as the entries are.
    fn insert_lines(&mut self, at: usize, lines: &[String]) {
        let indent = self.entries.first().map_or(2, |entry| entry.position.column - 1);
        let eol = splice::eol(self.text);
        let line = |line: &String| {
            if line.is_empty() { eol.to_owned() } else { format!("{:indent$}{line}{eol}", "") }
        };
        let with = lines.iter().map(line).collect();
        self.splices.push(Splice { at: at..at, with, whole_lines: true });
    }

    fn drop_server_metadata(&mut self, object: &Node) -> Result<Vec<String>, RebaseError> {
        let mut dropped = Vec::new();
        let Some(metadata) = object.get("metadata") else { return Ok(dropped) };
        let flow = |node: &Node| matches!(node.value, Value::Mapping { flow: true, .. });
        for entry in metadata.entries() {
            let last_applied = entry.key == "annotations" && entry.value.get(LAST_APPLIED).is_some();
            let server_made = SERVER_MADE.contains(&entry.key.as_str());
            if (server_made || last_applied) && (flow(metadata) || (last_applied && flow(&entry.value))) {
                let what = format!("metadata.{}", entry.key);
                return Err(RebaseError::Shape { position: entry.position, what });
            }
            let only = entry.value.entries().len() == 1;
            if server_made || (last_applied && only) {
                self.remove(entry)?;
                dropped.push(format!("metadata.{}", entry.key));
            } else if last_applied {
                let inner = entry.value.entries().iter().filter(|entry| entry.key == LAST_APPLIED);
                inner.clone().try_for_each(|entry| self.remove(entry))?;
                dropped.push(format!("metadata.annotations[{LAST_APPLIED}]"));
            }
        }
        Ok(dropped)
    }

    fn splice(&mut self, at: Range<usize>, with: String) {
        self.splices.push(Splice { at, with, whole_lines: false });
    }

    fn finish(self) -> String {
        splice::apply(self.text, self.splices)
    }
}
