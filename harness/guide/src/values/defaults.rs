//! Defaults that change under a file that does not set them.

use std::collections::BTreeMap;

use super::Request;
use super::draft::{Draft, Note};
use super::facts::{self, Guard, Keep};
use super::hop::Hop;
use super::path::{parse, word};
use crate::rebase::Class;
use model::Minor;
use serde_json::Value;

/// The value that names the minor that was installed first.
const COMPATIBILITY: &str = "upgradeCompatibility";

/// Decides on the defaults that a hop changes.
pub(super) fn change(draft: &mut Draft, hop: &Hop<'_>) {
    for fact in &facts::all().defaults {
        let path = parse(&fact.path);
        if !hop.crosses(fact.into)
            || draft.get(&path).is_some()
            || !matters(draft, &fact.when)
            || !hop.is_read(&path, false)
        {
            continue;
        }
        let (old, new) =
            if hop.is_down() { (&fact.after, &fact.before) } else { (&fact.before, &fact.after) };
        let change = format!(
            "the default changes from {} to {} in {}; {}",
            shown(&word(old)),
            shown(&word(new)),
            hop.to,
            fact.why
        );
        let note = |class| Note::new(class, change.clone()).from(&fact.source);
        match fact.keep {
            Keep::Pin => draft.set(&path, old.clone(), note(Class::DefaultFlipped)),
            Keep::Adopt => draft.report(&path, note(Class::Adopted)),
            Keep::Conflict => draft.report(&path, note(Class::Conflict)),
        }
    }
}

/// Returns the defaults of a hop that change because of `upgradeCompatibility`.
pub(super) fn guarded(draft: &Draft, hop: &Hop<'_>) -> Vec<&'static Guard> {
    facts::all().guards.iter().filter(|guard| changes(draft, hop, guard)).collect()
}

/// Tells whether every value of a condition is set.
fn matters(draft: &Draft, when: &BTreeMap<String, String>) -> bool {
    when.iter().all(|(path, wanted)| match wanted.as_str() {
        "*" => draft.has_any(&parse(path)),
        wanted => draft.word(&parse(path)).as_deref() == Some(wanted),
    })
}

/// Tells whether a hop changes a default because of `upgradeCompatibility`.
fn changes(draft: &Draft, hop: &Hop<'_>, guard: &Guard) -> bool {
    let set = draft.word(&parse(COMPATIBILITY)).and_then(|text| minor(&text));
    hop.crosses(guard.into)
        && set.is_none_or(|set| set >= guard.into)
        && draft.get(&parse(&guard.path)).is_none()
        && matters(draft, &guard.when)
}

/// Reads `1.15` and `1.15.3`.
fn minor(text: &str) -> Option<Minor> {
    let mut parts = text.trim_start_matches('v').splitn(3, '.');
    format!("{}.{}", parts.next()?, parts.next()?).parse().ok()
}

/// Asks for the value that decides on the guarded defaults.
pub(super) fn ask(draft: &mut Draft, request: &Request<'_>, open: &[&Guard]) {
    let path = parse(COMPATIBILITY);
    if let Some(Value::Number(number)) = draft.get(&path) {
        let why =
            format!("without quotes, helm reads it as the number {number}: 1.10 becomes 1.1; write \"1.10\"");
        draft.report(&path, Note::new(Class::Conflict, why));
    }
    if open.is_empty() {
        return;
    }
    let down = request.to < request.from;
    let what = open.iter().map(|guard| {
        let (before, after) = (shown(&word(&guard.before)), shown(&word(&guard.after)));
        let (before, after) = if down { (after, before) } else { (before, after) };
        format!("{} from {before} to {after} ({}: {})", guard.path, guard.into, guard.why)
    });
    let what = what.collect::<Vec<_>>().join("; ");
    let why = match draft.word(&path) {
        _ if down => {
            format!("on the way back these defaults change: {what}. Set the values to keep today's behaviour")
        }
        Some(set) => format!(
            "{set} turns new defaults on: {what}. Set these values, or the minor that was installed first"
        ),
        None => format!(
            "without it these defaults change: {what}. Set it to the minor of Cilium that was installed first, which a file \
             cannot tell; \"{}\" keeps today's defaults; or set these values",
            request.from.minor()
        ),
    };
    let mut sources: Vec<_> = open.iter().map(|guard| guard.source.as_str()).collect();
    sources.dedup();
    draft.report(&path, Note::new(Class::Conflict, why).from(&sources.join("; ")));
}

fn shown(word: &str) -> String {
    if word.is_empty() { "\"\"".to_owned() } else { word.to_owned() }
}
