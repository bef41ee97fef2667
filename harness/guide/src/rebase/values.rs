//! Values that not every minor reads, or that minors spell differently.

use super::Class;
use super::draft::{Draft, Note};
use super::hop::Hop;
use crate::keys::{self, Respelt};
use crate::options;

/// Rewrites values that the target spells differently.
pub(super) fn respell(draft: &mut Draft, hop: &Hop<'_>) {
    for name in draft.names() {
        let Some(fact) = keys::find(&name) else { continue };
        let (Some(respelt), Some(value)) = (&fact.respelt, draft.get(&name).map(ToOwned::to_owned)) else {
            continue;
        };
        let Respelt::SecondsBefore(since) = *respelt;
        let new = if !hop.is_down() && hop.target() >= since {
            value.parse::<u64>().ok().map(|seconds| Some(format!("{seconds}s")))
        } else if hop.leaves(since) && value.parse::<u64>().is_err() {
            Some(options::seconds(&value).filter(|seconds| seconds.fract() == 0.0).map(|s| s.to_string()))
        } else {
            None
        };
        match new {
            None => {}
            Some(Some(new)) => {
                let why = format!("{} reads {new:?} instead of {value:?}", hop.to);
                draft.set(&name, &new, Note::of(Class::Replaced, why, Some(fact)));
            }
            Some(None) => {
                let why = format!("{} reads whole seconds, and {value:?} has none", hop.to);
                draft.conflict(&name, Note::of(Class::Conflict, why, Some(fact)));
            }
        }
    }
}

/// Reports values that the target rejects.
pub(super) fn check(draft: &mut Draft, hop: &Hop<'_>) {
    for name in draft.names() {
        let Some(fact) = keys::find(&name) else { continue };
        let Some(value) = draft.get(&name).map(ToOwned::to_owned) else { continue };
        for limited in fact.values.iter().filter(|limited| limited.value == value) {
            let early = limited.since.is_some_and(|since| hop.target() < since);
            let late = limited.until.is_some_and(|until| until < hop.target());
            if early || late {
                let why = format!("{} does not accept {value:?}: {}", hop.to, limited.instead);
                draft.conflict(&name, Note::of(Class::Conflict, why, Some(fact)));
            }
        }
    }
}

/// Returns the keys that the target reads and the source does not.
pub(super) fn newly_read(draft: &Draft, hop: &Hop<'_>) -> Vec<String> {
    let is_newly_read = |name: &String| {
        let rendered = keys::find(name).is_some_and(|fact| fact.default_at(hop.from).is_some());
        let read = |minor| options::is_read(name, minor);
        !rendered && read(hop.source()) == Some(false) && read(hop.target()) == Some(true)
    };
    draft.names().into_iter().filter(is_newly_read).collect()
}

/// Reports keys that the target newly reads and whose values would then take effect.
pub(super) fn report_newly_read(draft: &mut Draft, hop: &Hop<'_>, names: &[String]) {
    for name in names {
        let Some(value) = draft.get(name) else { continue };
        let absent = options::without_key(name, hop.target());
        if absent.is_some_and(|absent| options::same(name, absent, value)) {
            continue;
        }
        let without =
            absent.map(|absent| format!(", where without the key it is {absent:?}")).unwrap_or_default();
        let why = format!(
            "{} does not read it and {} does, so {value:?} takes effect{without}: remove the key, or keep it if you want that",
            hop.from, hop.to
        );
        draft.conflict(name, Note::of(Class::Conflict, why, keys::find(name)));
    }
}
