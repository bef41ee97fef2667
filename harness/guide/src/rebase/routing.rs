//! The key `tunnel`, which `routing-mode` and `tunnel-protocol` replace: 1.14 reads all three, 1.15 only the new ones.

use super::Class;
use super::draft::{Draft, Note};
use super::hop::Hop;
use crate::keys;
use model::Minor;

const OLD: &str = "tunnel";
const MODE: &str = "routing-mode";
const PROTOCOL: &str = "tunnel-protocol";

/// The first minor that reads the new keys.
const NEW_SINCE: Minor = Minor::new(1, 14);
/// The first minor that does not read the old key.
const OLD_UNTIL: Minor = Minor::new(1, 15);

/// Converts the keys where a hop needs it.
pub(super) fn convert(draft: &mut Draft, hop: &Hop<'_>) {
    if !hop.is_down() && hop.target() >= OLD_UNTIL {
        forward(draft);
    } else if hop.leaves(NEW_SINCE) {
        backward(draft, hop);
    }
}

fn note(class: Class, why: impl Into<String>) -> Note {
    Note::of(class, why, keys::find(OLD))
}

fn forward(draft: &mut Draft) {
    let Some(value) = draft.get(OLD).map(ToOwned::to_owned) else { return };
    let new: &[(&str, &str)] = match value.as_str() {
        "disabled" => &[(MODE, "native")],
        "" | "vxlan" => &[(MODE, "tunnel"), (PROTOCOL, "vxlan")],
        "geneve" => &[(MODE, "tunnel"), (PROTOCOL, "geneve")],
        _ => {
            let why = format!(
                "{OLD_UNTIL} reads {MODE} and {PROTOCOL} instead, and {value:?} has no equivalent there"
            );
            return draft.conflict(OLD, note(Class::Conflict, why));
        }
    };
    for (key, wanted) in new {
        if let Some(other) = draft.get(key).filter(|other| other != wanted) {
            let why = format!(
                "{OLD_UNTIL} does not read it, and {key} is set to {other:?} where {value:?} means {wanted:?}: remove the one that is wrong"
            );
            return draft.conflict(OLD, note(Class::Conflict, why));
        }
    }
    let names: Vec<_> = new.iter().map(|(key, value)| format!("{key}: {value:?}")).collect();
    let why = format!("{OLD_UNTIL} reads {} instead", names.join(" and "));
    draft.remove(OLD, note(Class::Removed, why.clone()));
    for (key, value) in new {
        if !draft.has(key) {
            draft.set(key, value, note(Class::Replaced, why.clone()));
        }
    }
}

fn backward(draft: &mut Draft, hop: &Hop<'_>) {
    if !draft.has(MODE) && !draft.has(PROTOCOL) {
        return;
    }
    let native = draft.is(MODE, "native");
    let value = if native { "disabled" } else { draft.get(PROTOCOL).unwrap_or("vxlan") }.to_owned();
    let why = format!("{} reads {OLD}: {value:?} instead", hop.to);
    let other = draft.get(OLD).filter(|other| **other != value).map(ToOwned::to_owned);
    if let Some(other) = other {
        let why = format!("{why}, and {OLD} is set to {other:?}: remove the one that is wrong");
        return draft.conflict(OLD, note(Class::Conflict, why));
    }
    if draft.has(OLD) {
        draft.remove(MODE, note(Class::Removed, why.clone()));
    } else if draft.has(MODE) {
        draft.rename(MODE, OLD, &value, note(Class::Replaced, why.clone()));
    } else {
        return draft.rename(PROTOCOL, OLD, &value, note(Class::Replaced, why));
    }
    draft.remove(PROTOCOL, note(Class::Removed, why));
}
