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
