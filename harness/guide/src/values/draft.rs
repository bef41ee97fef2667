//! The values of a file while a rebase works on them, each with what has been decided so far.

use std::collections::BTreeSet;

use serde_json::Value;

use super::path::{Path, show, word};
use crate::keys::OnChange;
use crate::rebase::{Class, Decision};

/// All values: first those of the file in file order, then the added ones.
pub(super) struct Draft {
    pub(super) slots: Vec<Slot>,
    /// Values that the current hop leaves alone although the target does not read them.
    held: BTreeSet<Path>,
}

/// One value.
pub(super) struct Slot {
    /// Path and value in the file; absent for a value that the file does not have.
    pub(super) before: Option<(Path, Value)>,
    pub(super) path: Path,
    /// A value of the file that it is added next to.
    pub(super) near: Option<Path>,
    /// The value; absent if it is removed or only reported.
    pub(super) value: Option<Value>,
    note: Note,
    /// What a person must decide or know, whatever a later hop does with the value.
    attention: Option<Note>,
}

/// The reason for a decision.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) class: Class,
    pub(super) why: String,
    pub(super) source: Option<String>,
}

impl Note {
    /// Returns a reason.
    pub(super) fn new(class: Class, why: impl Into<String>) -> Self {
        Self { class, why: why.into(), source: None }
    }

    /// Adds where this was read.
    pub(super) fn from(self, source: &str) -> Self {
        Self { source: Some(source.to_owned()), ..self }
    }

    fn needs_attention(&self) -> bool {
        matches!(self.class, Class::Conflict | Class::Lost)
    }
}

impl Draft {
    /// Starts with the values of a file.
    pub(super) fn new(values: impl Iterator<Item = (Path, Value)>) -> Self {
        let slot = |(path, value): (Path, Value)| Slot {
            before: Some((path.clone(), value.clone())),
            path,
            near: None,
            value: Some(value),
            note: Note::new(Class::Kept, "unchanged"),
            attention: None,
        };
        Self { slots: values.map(slot).collect(), held: BTreeSet::new() }
    }

    /// Returns a value.
    pub(super) fn get(&self, path: &[String]) -> Option<&Value> {
        self.live(path).and_then(|at| self.slots[at].value.as_ref())
    }

    /// Returns a value as a word.
    pub(super) fn word(&self, path: &[String]) -> Option<String> {
        self.get(path).map(word)
    }

    /// Tells whether a value at or below a path is set.
    pub(super) fn has_any(&self, path: &[String]) -> bool {
        let set = |slot: &Slot| slot.value.as_ref().is_some_and(|value| !value.is_null());
        self.slots.iter().any(|slot| set(slot) && slot.path.starts_with(path))
    }

    /// Returns the paths of all values that are set.
    pub(super) fn paths(&self) -> Vec<Path> {
        self.slots.iter().filter(|slot| slot.value.is_some()).map(|slot| slot.path.clone()).collect()
    }

    /// Moves a value to other paths.
    pub(super) fn rename(&mut self, old: &[String], new: &[(Path, Value)], note: &Note) {
        let (Some(at), Some(((path, value), others))) = (self.live(old), new.split_first()) else { return };
        let slot = &mut self.slots[at];
        let near = slot.before.as_ref().map(|(old, _)| old.clone());
        slot.path.clone_from(path);
        slot.value = Some(value.clone());
        slot.note = note.clone();
        for (path, value) in others {
            self.set(path, value.clone(), note.clone());
            if let Some(at) = self.live(path) {
                self.slots[at].near.clone_from(&near);
            }
        }
    }

    /// Sets a value, which is added if it is not set.
    pub(super) fn set(&mut self, path: &[String], value: Value, note: Note) {
        let at = self.slot_for(path);
        self.slots[at].value = Some(value);
        self.slots[at].note = note;
    }

    /// Removes a value.
    pub(super) fn remove(&mut self, path: &[String], note: Note) {
        if let Some(at) = self.live(path) {
            self.slots[at].value = None;
            self.annotate(at, note);
        }
    }

    /// Reports on a value and changes nothing.
    pub(super) fn report(&mut self, path: &[String], note: Note) {
        let at = self.slot_for(path);
        self.annotate(at, note);
    }

    /// Reports on a value that a hop cannot move, and leaves it alone.
    pub(super) fn hold(&mut self, path: &[String], note: Note) {
        self.held.insert(path.to_vec());
        self.report(path, note);
    }

    /// Starts a hop.
    pub(super) fn release(&mut self) {
        self.held.clear();
    }

    /// Tells whether the current hop leaves a value alone.
    pub(super) fn is_held(&self, path: &[String]) -> bool {
        self.held.contains(path)
    }

    fn annotate(&mut self, at: usize, note: Note) {
        let slot = &mut self.slots[at];
        if note.needs_attention() {
            slot.attention.get_or_insert(note);
        } else {
            slot.note = note;
        }
    }

    /// Returns the decisions on all values.
    pub(super) fn decisions(&self) -> Vec<Decision> {
        let dropped = |slot: &&Slot| slot.before.is_some() || slot.value.is_some() || slot.is_report();
        self.slots.iter().filter(dropped).map(Slot::decision).collect()
    }

    fn live(&self, path: &[String]) -> Option<usize> {
        self.slots.iter().position(|slot| slot.path == path && slot.value.is_some())
    }

    fn slot_for(&mut self, path: &[String]) -> usize {
        let of_file = |slot: &Slot| slot.before.as_ref().is_some_and(|(old, _)| old == path);
        let idle = |slot: &Slot| slot.value.is_none() && (slot.path == path || of_file(slot));
        let found = self.live(path).or_else(|| self.slots.iter().position(idle));
        let at = found.unwrap_or_else(|| {
            let note = Note::new(Class::Omitted, "absent");
            self.slots.push(Slot {
                before: None,
                path: path.to_vec(),
                near: None,
                value: None,
                note,
                attention: None,
            });
            self.slots.len() - 1
        });
        self.slots[at].path = path.to_vec();
        at
    }
}

impl Slot {
    fn is_report(&self) -> bool {
        self.attention.is_some() || matches!(self.note.class, Class::Adopted | Class::Conflict)
    }

    fn decision(&self) -> Decision {
        let note = self.attention.as_ref().unwrap_or(&self.note);
        let moved = self.before.as_ref().filter(|(old, _)| *old != self.path && self.value.is_some());
        let key = match &self.before {
            Some((old, _)) if self.value.is_none() => show(old),
            _ => show(&self.path),
        };
        let before = self.before.as_ref().map(|(_, value)| word(value));
        let after = self.value.as_ref().map(word);
        Decision {
            key,
            old_key: moved.map(|(old, _)| show(old)),
            class: note.class,
            effect: OnChange::None,
            before,
            after,
            why: note.why.clone(),
            source: note.source.clone(),
        }
    }
}
