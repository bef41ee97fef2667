//! Reasons for keys that a rebase leaves as they are.

use super::draft::{Draft, Note};
use super::{Class, Request};
use crate::keys;
use crate::options;
use model::Minor;

/// Reports values that are dangerous when agents restart, as they do in every upgrade.
pub(super) fn dangers(draft: &mut Draft) {
    for name in draft.names() {
        let Some(fact) = keys::find(&name) else { continue };
        let Some(danger) = fact.danger.as_ref().filter(|danger| draft.is(&name, &danger.value)) else {
            continue;
        };
        let why = format!("{:?}: {}", danger.value, danger.why);
        draft.conflict(&name, Note::of(Class::Conflict, why, Some(fact)));
    }
}

/// Returns the reason for a key that stays.
pub(super) fn untouched(name: &str, value: &str, request: &Request<'_>) -> Note {
    let to = request.to.minor();
    let Some(fact) = keys::find(name) else { return unlisted(name, request) };
    let note = |class, why: String| Note::of(class, why, Some(fact));
    let default = match request.template {
        Some(template) => template.value(name),
        None => fact.default_at(request.to),
    };
    if let Some(default) =
        default.filter(|default| *default != value && fact.default_at(request.from) == Some(value))
    {
        let reason = fact.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        let why =
            format!("the default is now {default:?}; the value stays unless you adopt the default{reason}");
        return note(Class::DefaultFlipped, why);
    }
    if let Some(deprecated) = fact.deprecated.filter(|deprecated| *deprecated <= to) {
        return note(Class::Deprecated, format!("deprecated in {deprecated}"));
    }
    if let Some(first) = fact.args_before.filter(|first| to < *first) {
        return note(Class::Kept, format!("kept, but before {first} the DaemonSet sets the option"));
    }
    note(Class::Kept, "kept".to_owned())
}

/// Returns the reason for a key that is not in the key data: it may be an option of some minors, or unknown.
fn unlisted(name: &str, request: &Request<'_>) -> Note {
    if request.template.is_some_and(|template| template.value(name).is_some()) {
        return Note::new(Class::Kept, "kept");
    }
    let known = options::named(name);
    match known.iter().find(|option| option.is_in(request.to.minor())) {
        Some(_) => Note::new(Class::Kept, format!("kept: an option of {}", request.to.minor())),
        None if known.is_empty() => Note::new(Class::Unknown, unknown(name)),
        None => {
            let spans: Vec<_> = known.iter().map(|option| span(option.since(), option.until())).collect();
            Note::new(Class::Unknown, format!("an option of {} only", spans.join(" and ")))
        }
    }
}

fn unknown(name: &str) -> String {
    match options::resembling(name) {
        Some(known) => format!("no known version has this option: did you mean {known}?"),
        None => "no known version has this option".to_owned(),
    }
}

fn span(since: Minor, until: Option<Minor>) -> String {
    match until {
        Some(until) if until == since => since.to_string(),
        Some(until) => format!("{since} to {until}"),
        None => format!("{since} and later"),
    }
}
