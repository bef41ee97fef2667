//! The rules of a hop: what becomes of each key.

use super::draft::{Draft, Note};
use super::hop::Hop;
use super::{Class, absent, incompatible, kube_proxy, routing, values};
use crate::keys::{self, Key, Mapping, Rename};
use crate::options;
use model::Minor;

/// Applies a hop to the keys.
pub(super) fn apply(draft: &mut Draft, hop: &Hop<'_>) {
    let newly_read = values::newly_read(draft, hop);
    renames(draft, hop);
    routing::convert(draft, hop);
    kube_proxy::convert(draft, hop);
    values::respell(draft, hop);
    require(draft, hop);
    drop_unread(draft, hop);
    values::check(draft, hop);
    values::report_newly_read(draft, hop, &newly_read);
    absent::pin(draft, hop);
    absent::removed_options(draft, hop);
    if !hop.is_down() && !hop.skips_defaults {
        absent::add_defaults(draft, hop);
    }
    incompatible::check(draft, hop);
}

fn renames(draft: &mut Draft, hop: &Hop<'_>) {
    for key in keys::all() {
        let Some(rename) = &key.renamed_from else { continue };
        let forward = !hop.is_down() && hop.target() >= rename.into;
        if forward && (hop.enters(rename.into) || !hop.target_reads(&rename.key)) {
            move_value(draft, hop, key, rename, &rename.key, &key.key);
        } else if hop.leaves(rename.into) {
            move_value(draft, hop, key, rename, &key.key, &rename.key);
        }
    }
}

fn move_value(draft: &mut Draft, hop: &Hop<'_>, key: &Key, rename: &Rename, old: &str, new: &str) {
    let Some(value) = draft.get(old).map(ToOwned::to_owned) else { return };
    let note = |class, why| Note::of(class, why, Some(key));
    let (class, mapped) = match (rename.value, value.as_str()) {
        (Mapping::Same, value) => (Class::Renamed, value),
        (Mapping::Negated, "true") => (Class::Inverted, "false"),
        (Mapping::Negated, "false") => (Class::Inverted, "true"),
        (Mapping::Negated, _) => {
            let why = format!("{new} replaces it with the opposite value, which {value:?} does not have");
            return draft.conflict(old, note(Class::Conflict, why));
        }
    };
    // On the way down, a value under the older name had no effect.
    if hop.is_down() && draft.has(new) && !hop.source_reads(new) {
        draft.remove(new, note(Class::Removed, format!("{} does not read it", hop.from)));
    }
    if let Some(other) = draft.get(new) {
        if options::same(new, other, mapped) {
            return draft.remove(old, note(Class::Removed, format!("{new} has the same meaning and is set")));
        }
        let why = format!("{new} replaces it and is set to {other:?}: remove the one that is wrong");
        return draft.conflict(old, note(Class::Conflict, why));
    }
    if !hop.is_down() && !hop.enters(rename.into) && !hop.source_reads(old) {
        let why = format!("{} replaced it in {}, and {} does not read it", key.key, rename.into, hop.from);
        return draft.remove(old, note(Class::Removed, why));
    }
    let why = match rename.value {
        Mapping::Same => format!("{old} is named {new} in {}", hop.to),
        Mapping::Negated => format!("{old} is named {new} in {}, with the opposite meaning", hop.to),
    };
    draft.rename(old, new, mapped, note(class, why));
}

/// Sets the keys that the guide requires.
fn require(draft: &mut Draft, hop: &Hop<'_>) {
    for change in hop.required {
        if draft.has(&change.key) && (change.keep_existing || draft.is(&change.key, &change.value)) {
            continue;
        }
        let note =
            Note { source: Some(change.source.clone()), ..Note::new(Class::Required, change.why.clone()) };
        draft.set(&change.key, &change.value, note);
    }
}

/// Removes keys that the target does not read.
fn drop_unread(draft: &mut Draft, hop: &Hop<'_>) {
    for name in draft.names() {
        let in_template = hop.template.is_some_and(|template| template.value(&name).is_some());
        if in_template || draft.in_conflict(&name) || !(hop.is_up() || hop.is_down()) {
            continue;
        }
        let Some(note) = unread(draft, hop, &name) else { continue };
        draft.remove(&name, note);
    }
}

fn unread(draft: &Draft, hop: &Hop<'_>, name: &str) -> Option<Note> {
    let fact = keys::find(name);
    let note = |class, why| Some(Note::of(class, why, fact));
    if hop.is_down() {
        // Arguments of older DaemonSets set the option: from a key of that name, or whatever the ConfigMap says.
        if let Some(first) = fact.and_then(|fact| fact.args_before).filter(|first| hop.leaves(*first)) {
            let ignored = fact.and_then(Key::introduced) >= Some(first);
            let why =
                format!("before {first} an argument of the DaemonSet sets the option, not the ConfigMap");
            return ignored.then(|| Note::of(Class::Removed, why, fact));
        }
        let first =
            options::named(name).iter().map(|option| option.since()).find(|first| hop.target() < *first);
        let unlisted =
            fact.and_then(Key::introduced).filter(|_| options::is_read(name, hop.target()).is_none());
        let introduced =
            first.filter(|_| !hop.target_reads(name)).or(unlisted.filter(|first| hop.leaves(*first)));
        return note(Class::Removed, format!("new in {}; {} does not read it", introduced?, hop.to));
    }
    if hop.target_reads(name) {
        return None;
    }
    let last =
        options::named(name).iter().filter_map(|option| option.until()).rfind(|last| *last < hop.target());
    let removed = fact.and_then(|fact| fact.removed).filter(|removed| *removed <= hop.target());
    if last.is_none() && removed.is_none() {
        return None; // A later minor introduces it.
    }
    let since = removed.unwrap_or_else(|| hop.target());
    if !hop.source_reads(name) {
        return note(Class::Removed, format!("{} does not read it", hop.from));
    }
    let value = draft.get(name).unwrap_or_default();
    let after = options::named(name)
        .iter()
        .rfind(|option| option.is_in(hop.source()))
        .and_then(|option| option.then());
    let default = options::without_key(name, hop.source());
    match after.or(default) {
        Some("*") => note(Class::Removed, format!("{since} removed it; the option no longer matters")),
        Some(kept) if options::same(name, kept, value) => {
            note(Class::Removed, format!("{since} removed it and behaves as with {kept:?}"))
        }
        _ if hop.source() < options::FIRST => note(Class::Removed, format!("{since} removed it")),
        _ => lost(name, value, after, since, fact),
    }
}

/// A removed option with a value that the target cannot keep.
fn lost(name: &str, value: &str, after: Option<&str>, since: Minor, fact: Option<&Key>) -> Option<Note> {
    let what = match after {
        Some(after) => format!("{since} behaves as with {name}: {after:?}"),
        None => format!("what {since} does instead is not known"),
    };
    let reason =
        fact.and_then(|fact| fact.note.as_ref()).map(|note| format!(" ({note})")).unwrap_or_default();
    let why = format!("{since} removed the option, so {value:?} has no effect: {what}{reason}");
    Some(Note::of(Class::Lost, why, fact))
}
