//! The keys of a ConfigMap while a rebase works on them, each with what has been decided so far.

use super::{Class, Decision};
use crate::configmap::ConfigMap;
use crate::keys::{Key, OnChange};

/// All keys: first those of the file in file order, then the added ones.
pub(super) struct Draft {
    slots: Vec<Slot>,
}

/// One key.
struct Slot {
    /// Name and value in the file; absent for a key that the file does not have.
    before: Option<(String, String)>,
    name: String,
    /// The value; absent for a key that is removed or left out.
    value: Option<String>,
    note: Note,
    /// What a person must decide or know, whatever a later hop does with the key.
    attention: Option<Note>,
}

/// The reason for a decision.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) class: Class,
    pub(super) why: String,
    pub(super) source: Option<String>,
    pub(super) effect: OnChange,
}

impl Note {
    /// Returns a reason that no fact about a key supports.
    pub(super) fn new(class: Class, why: impl Into<String>) -> Self {
        Self { class, why: why.into(), source: None, effect: OnChange::None }
    }

    /// Returns a reason with the source of the facts about a key.
    pub(super) fn of(class: Class, why: impl Into<String>, fact: Option<&Key>) -> Self {
        Self { source: fact.map(|fact| fact.origin().0), ..Self::new(class, why) }
    }

    /// Adds the effect of changing a key on a running cluster.
    pub(super) fn with_effect(self, fact: Option<&Key>) -> Self {
        Self { effect: fact.map_or(OnChange::None, |fact| fact.on_change), ..self }
    }
}

impl Draft {
    /// Starts with the keys of a file.
    pub(super) fn new(config: &ConfigMap) -> Self {
        let entries = config.entries().iter().filter_map(|entry| Some((&entry.key, entry.value.text()?)));
        let slot = |(key, value): (&String, &str)| Slot {
            before: Some((key.clone(), value.to_owned())),
            name: key.clone(),
            value: Some(value.to_owned()),
            note: Note::new(Class::Kept, "unchanged"),
            attention: None,
        };
        Self { slots: entries.map(slot).collect() }
    }

    /// Returns the value of a key.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.live(name).and_then(|slot| slot.value.as_deref())
    }

    /// Tells whether a key is set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.live(name).is_some()
    }

    /// Tells whether a key has a value.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    /// Tells whether a key is set that the file does not have under any name.
    pub(super) fn is_new(&self, name: &str) -> bool {
        self.live(name).is_some_and(|slot| slot.before.is_none())
    }

    /// Returns the names of all keys that are set.
    pub(super) fn names(&self) -> Vec<String> {
        self.slots.iter().filter(|slot| slot.value.is_some()).map(|slot| slot.name.clone()).collect()
    }

    /// Sets a key, which is added if it is not set.
    pub(super) fn set(&mut self, name: &str, value: &str, note: Note) {
        let slot = self.slot_for(name);
        slot.value = Some(value.to_owned());
        slot.note = note;
    }

    /// Renames a key and sets its value.
    pub(super) fn rename(&mut self, old: &str, new: &str, value: &str, note: Note) {
        if let Some(slot) = self.live_mut(old) {
            new.clone_into(&mut slot.name);
            slot.value = Some(value.to_owned());
            slot.note = note;
        }
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, name: &str, note: Note) {
        if let Some(slot) = self.live_mut(name) {
            slot.value = None;
            if note.class == Class::Lost {
                slot.attention.get_or_insert(note);
            } else {
                slot.note = note;
            }
        }
    }

    /// Leaves a key out and says why.
    pub(super) fn omit(&mut self, name: &str, note: Note) {
        let slot = self.slot_for(name);
        if slot.before.is_none() {
            slot.note = note;
        }
    }

    /// Reports a conflict and changes nothing.
    pub(super) fn conflict(&mut self, name: &str, note: Note) {
        let slot = self.slot_for(name);
        slot.attention.get_or_insert(note);
    }

    /// Tells whether a conflict about a key was reported.
    pub(super) fn in_conflict(&self, name: &str) -> bool {
        let conflict = |note: &Note| note.class == Class::Conflict;
        self.live(name).is_some_and(|slot| slot.attention.as_ref().is_some_and(conflict))
    }

    /// Gives the keys that the rebase did not touch a reason.
    pub(super) fn explain_untouched(&mut self, explain: impl Fn(&str, &str) -> Note) {
        for slot in &mut self.slots {
            if let (Some((name, before)), Some(value)) = (&slot.before, &slot.value)
                && (name, before) == (&slot.name, value)
                && slot.note.class == Class::Kept
            {
                slot.note = explain(name, before);
            }
        }
    }

    /// Returns the decisions on all keys.
    pub(super) fn decisions(self) -> Vec<Decision> {
        let open = |slot: &Slot| slot.before.is_some() || slot.value.is_some() || slot.shows_absence();
        self.slots.into_iter().filter(open).map(Slot::decision).collect()
    }

    fn live(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name == name && slot.value.is_some())
    }

    fn live_mut(&mut self, name: &str) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.name == name && slot.value.is_some())
    }

    /// Returns the slot of a name: the one that is set, else one that was removed or left out, else a new one.
    fn slot_for(&mut self, name: &str) -> &mut Slot {
        let named = |slot: &Slot| slot.name == name || slot.file_name() == Some(name);
        let live = self.slots.iter().position(|slot| slot.name == name && slot.value.is_some());
        let idle = || self.slots.iter().position(|slot| slot.value.is_none() && named(slot));
        let at = live.or_else(idle).unwrap_or_else(|| {
            self.slots.push(Slot {
                before: None,
                name: name.to_owned(),
                value: None,
                note: Note::new(Class::Omitted, "absent"),
                attention: None,
            });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[at];
        name.clone_into(&mut slot.name);
        slot
    }
}

impl Slot {
    fn file_name(&self) -> Option<&str> {
        self.before.as_ref().map(|(name, _)| name.as_str())
    }

    /// Tells whether an absent key is worth a decision.
    fn shows_absence(&self) -> bool {
        self.attention.is_some() || self.note.class == Class::Omitted
    }

    fn decision(self) -> Decision {
        let Self { before, name, value, note, attention } = self;
        let note = attention.unwrap_or(note);
        let (old_name, old_value) = before.unzip();
        let renamed = value.is_some() && old_name.as_ref().is_some_and(|old| *old != name);
        let key = if value.is_some() { name } else { old_name.clone().unwrap_or(name) };
        let unchanged = value == old_value && !renamed;
        Decision {
            key,
            old_key: old_name.filter(|_| renamed),
            class: note.class,
            effect: if unchanged || value.is_none() { OnChange::None } else { note.effect },
            before: old_value,
            after: value,
            why: note.why,
            source: note.source,
        }
    }
}
