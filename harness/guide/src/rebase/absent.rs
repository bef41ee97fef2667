//! Keys that the file does not have: defaults that change under them, and defaults that the target adds.

use super::draft::{Draft, Note};
use super::hop::Hop;
use super::{Class, Request, kube_proxy};
use crate::keys::{self, Key, WhenChanged, WhenNew};
use crate::options;

/// Sets keys whose absence would change the behaviour.
pub(super) fn pin(draft: &mut Draft, hop: &Hop<'_>) {
    for option in
        options::all().iter().filter(|option| option.is_in(hop.source()) && option.is_in(hop.target()))
    {
        let name = option.name.as_str();
        let (Some(old), Some(new)) = (option.without_key(hop.source()), option.without_key(hop.target()))
        else {
            continue;
        };
        let fact = keys::find(name);
        let waits = fact.is_some_and(|fact| fact.predecessors().any(|older| draft.has(older)));
        if options::same(name, old, new) || draft.has(name) || waits || kube_proxy::owns(name) {
            continue;
        }
        let why = format!("without the key it is {old:?} in {} and {new:?} in {}", hop.from, hop.to);
        let note = |class, why| Note::of(class, why, fact);
        match fact.map_or(&WhenChanged::Pin, |fact| &fact.when_changed) {
            WhenChanged::Pin => draft.set(name, old, note(Class::Added, why)),
            WhenChanged::Adopt => draft.omit(name, note(Class::Omitted, why)),
            WhenChanged::Decide { .. } if !hop.is_up() => draft.set(name, old, note(Class::Added, why)),
            WhenChanged::Decide { unless, set, or } => match set {
                Some(set) if unless.iter().all(|(key, value)| draft.is(key, value)) => {
                    draft.set(name, set, note(Class::Added, why).with_effect(fact));
                }
                _ => draft.conflict(name, note(Class::Conflict, format!("{why}: {or}"))),
            },
        }
    }
}

/// Handles options that the newer version removed, where its fixed behaviour differs from the older version's default: an
/// upgrade reports the change, and a downgrade sets the option to keep the behaviour.
pub(super) fn removed_options(draft: &mut Draft, hop: &Hop<'_>) {
    for option in options::all() {
        let name = option.name.as_str();
        let (older, newer) =
            if hop.is_down() { (hop.target(), hop.source()) } else { (hop.source(), hop.target()) };
        let ended = option.is_in(older) && options::is_read(name, newer) == Some(false);
        let (true, Some(fixed), Some(default)) = (ended, option.then(), option.without_key(older)) else {
            continue;
        };
        if fixed == "*" || options::same(name, fixed, default) || draft.has(name) || kube_proxy::owns(name) {
            continue;
        }
        let fact = keys::find(name);
        let why = format!(
            "without the key it is {default:?} in {older}, and {newer} always behaves as with {fixed:?}"
        );
        let applies = match fact.map_or(&WhenChanged::Pin, |fact| &fact.when_changed) {
            WhenChanged::Pin => true,
            WhenChanged::Adopt => false,
            WhenChanged::Decide { unless, .. } => unless.iter().all(|(key, value)| draft.is(key, value)),
        };
        if hop.is_up() {
            draft.omit(name, Note::of(Class::Omitted, why, fact));
        } else if hop.is_down() && applies {
            draft.set(name, fixed, Note::of(Class::Added, why, fact));
        }
    }
}

/// Adds the defaults that the target has and the source has not.
pub(super) fn add_defaults(draft: &mut Draft, hop: &Hop<'_>) {
    match hop.template {
        Some(template) => {
            for name in template.keys() {
                add_default(draft, hop, name, keys::find(name), template.value(name));
            }
        }
        None => {
            for fact in keys::all() {
                add_default(draft, hop, &fact.key, Some(fact), fact.default_at(hop.to));
            }
        }
    }
}

fn add_default(draft: &mut Draft, hop: &Hop<'_>, name: &str, fact: Option<&Key>, default: Option<&str>) {
    let Some(default) = default else { return };
    let waits = fact.is_some_and(|fact| fact.predecessors().any(|older| draft.has(older)));
    if draft.has(name) || draft.in_conflict(name) {
        return;
    }
    let note = |class, why| Note::of(class, why, fact);
    if waits {
        return draft.omit(name, note(Class::Omitted, "the file has the key that it replaces".to_owned()));
    }
    if fact.is_some_and(|fact| fact.default_at(hop.origin).is_some()) {
        return draft
            .omit(name, note(Class::Omitted, format!("the file leaves out this default of {}", hop.origin)));
    }
    let current = options::without_key(name, hop.origin.minor());
    let later = options::without_key(name, hop.target());
    let to = hop.to;
    match fact.map(|fact| &fact.when_new) {
        Some(WhenNew::Omit) => draft.omit(name, note(Class::Omitted, absence(current, later, hop))),
        Some(WhenNew::Pin(value)) => {
            let why = format!(
                "new in the default ConfigMap of {to}, which sets {default:?}; {value:?} is the behaviour before"
            );
            let why = if value == default { format!("new in the default ConfigMap of {to}") } else { why };
            draft.set(name, value, note(Class::Added, why));
        }
        Some(WhenNew::Adopt) => {
            draft.set(name, default, note(Class::Added, new_default(hop)).with_effect(fact));
        }
        Some(WhenNew::Follow) | None => match (current, later) {
            (Some(current), Some(later)) if options::same(name, current, later) => {
                let equal = options::same(name, later, default);
                if equal && hop.template.is_some() {
                    return draft.set(
                        name,
                        default,
                        note(Class::Added, format!("the template sets it; it stays {later:?}")),
                    );
                }
                let new =
                    if equal { String::new() } else { format!("; {to} sets {default:?} in new clusters") };
                draft.omit(name, note(Class::Omitted, format!("without the key it stays {later:?}{new}")));
            }
            (Some(current), _) if !options::same(name, current, default) && !kube_proxy::owns(name) => {
                draft.set(name, default, note(Class::Added, new_default(hop)).with_effect(fact));
            }
            _ => draft.set(name, default, note(Class::Added, new_default(hop))),
        },
    }
}

fn new_default(hop: &Hop<'_>) -> String {
    format!("new since {}, with the default of {}", hop.origin, hop.to)
}

/// Returns what is known about leaving a key out.
fn absence(current: Option<&str>, later: Option<&str>, hop: &Hop<'_>) -> String {
    match (current, later) {
        (Some(current), Some(later)) if current == later => format!("without the key it stays {later:?}"),
        (None, Some(later)) => {
            format!("{} does not have the option; without the key it is {later:?}", hop.origin)
        }
        _ => "the chart leaves it out for clusters that were installed earlier".to_owned(),
    }
}

/// Sets the defaults of the target that were requested.
pub(super) fn adopt(draft: &mut Draft, request: &Request<'_>) {
    for name in &request.adopt {
        let fact = keys::find(name);
        let default = match request.template {
            Some(template) => template.value(name),
            None => fact.and_then(|fact| fact.default_at(request.to)),
        };
        let Some(default) = default.filter(|default| !draft.is(name, default)) else { continue };
        let class = if draft.has(name) { Class::Adopted } else { Class::Added };
        let why = match fact.and_then(|fact| fact.note.as_ref()) {
            Some(note) => format!("requested: the default of {} ({note})", request.to),
            None => format!("requested: the default of {}", request.to),
        };
        draft.set(name, default, Note::of(class, why, fact).with_effect(fact));
    }
}
