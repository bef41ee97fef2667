//! Combinations of options with which agents of the target do not start.

use super::Class;
use super::draft::{Draft, Note};
use super::hop::Hop;
use crate::combinations::{self, Combination};
use crate::options;

/// Reports combinations that agents of the target refuse and those of the source do not.
pub(super) fn check(draft: &mut Draft, hop: &Hop<'_>) {
    for refused in combinations::all() {
        let entered = hop.enters(refused.since) && refused.until.is_none_or(|last| hop.target() <= last);
        let returned = refused.until.is_some_and(|last| hop.target() <= last && last < hop.source())
            && refused.since <= hop.target();
        // A template adds keys in the last hop, whichever hop would have entered the first minor.
        let applies = hop.target() >= refused.since && refused.until.is_none_or(|last| hop.target() <= last);
        let added = applies && draft.is_new(&refused.key);
        if !(entered || returned || added) || !holds(draft, hop, refused) {
            continue;
        }
        let parts: Vec<_> = refused.parts().skip(1).map(|(name, _)| shown(draft, hop, name)).collect();
        let why = format!(
            "agents of {} do not start with {} and {}: {}",
            hop.target(),
            shown(draft, hop, &refused.key),
            parts.join(", "),
            refused.why
        );
        let note = |class, why| Note { source: Some(refused.source.clone()), ..Note::new(class, why) };
        match &refused.set {
            Some(value) if draft.is_new(&refused.key) => {
                let why = format!("{value:?}, because {why}");
                draft.set(&refused.key, value, note(Class::Added, why));
            }
            _ => draft.conflict(&refused.key, note(Class::Conflict, why)),
        }
    }
}

fn holds(draft: &Draft, hop: &Hop<'_>, refused: &Combination) -> bool {
    refused.parts().all(|(name, values)| {
        effective(draft, hop, name)
            .is_some_and(|value| values.iter().any(|refused| options::same(name, refused, value)))
    })
}

fn effective<'a>(draft: &'a Draft, hop: &Hop<'_>, name: &str) -> Option<&'a str> {
    draft.get(name).or_else(|| options::without_key(name, hop.target()))
}

fn shown(draft: &Draft, hop: &Hop<'_>, name: &str) -> String {
    format!("{name}: {:?}", effective(draft, hop, name).unwrap_or_default())
}
