//! What one hop does to the values of a file: defaults, moves, words, and values that are read no longer.

use super::defaults;
use super::draft::{Draft, Note};
use super::facts::{self, Moved, Word};
use super::hop::Hop;
use super::path::{Path, parse, show};
use super::words;
use crate::rebase::Class;
use serde_json::Value;

/// Decides on what one hop changes.
pub(super) fn apply(draft: &mut Draft, hop: &Hop<'_>) {
    draft.release();
    defaults::change(draft, hop);
    for moved in &facts::all().moved {
        if hop.is_down() { move_back(draft, hop, moved) } else { move_on(draft, hop, moved) }
    }
    for word in &facts::all().words {
        respell(draft, hop, word);
    }
    for path in draft.paths() {
        remove_unread(draft, hop, &path);
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty))
}

fn move_on(draft: &mut Draft, hop: &Hop<'_>, moved: &Moved) {
    let old = parse(&moved.from);
    let targets: Vec<Path> = moved.to.iter().map(|to| parse(to)).collect();
    let goes = hop.was_read(&old, false) && !hop.is_read(&old, false);
    let Some(value) = draft.get(&old).cloned().filter(|_| goes && hop.is_read(&targets[0], false)) else {
        return;
    };
    let pairs: Vec<(Path, Value)> = if moved.cases.is_empty() {
        let value = if moved.list { Value::Array(vec![value]) } else { value };
        targets.into_iter().map(|to| (to, value.clone())).collect()
    } else {
        let Some(case) = moved.cases.get(&words::of(&value)) else {
            let why = format!("{} has {} instead and no such word", hop.to, moved.to.join(" and "));
            draft.hold(&old, Note::new(Class::Conflict, why).from(&moved.source));
            return;
        };
        case.iter().map(|(path, value)| (parse(path), value.clone())).collect()
    };
    carry(draft, &old, &pairs, hop, moved);
}

/// Moves a value unless the file has another one at the new path.
fn carry(draft: &mut Draft, old: &[String], pairs: &[(Path, Value)], hop: &Hop<'_>, moved: &Moved) {
    let names: Vec<_> = pairs.iter().map(|(path, _)| show(path)).collect();
    let other = |(path, value): &&(Path, Value)| draft.get(path).is_some_and(|set| set != value);
    if let Some((path, _)) = pairs.iter().find(other) {
        let why = format!(
            "{} reads {} instead, which the file sets to another value: keep one of them",
            hop.to,
            show(path)
        );
        draft.hold(old, Note::new(Class::Conflict, why).from(&moved.source));
        return;
    }
    if pairs.iter().all(|(path, _)| draft.get(path).is_some()) {
        let why = format!("{} reads {} instead, which the file sets, too", hop.to, names.join(" and "));
        draft.remove(old, Note::new(Class::Removed, why).from(&moved.source));
        return;
    }
    let why = format!("{} reads {} instead of {}", hop.to, names.join(" and "), show(old));
    let note = Note::new(Class::Renamed, why).from(&moved.source);
    draft.rename(old, pairs, &note);
}

fn move_back(draft: &mut Draft, hop: &Hop<'_>, moved: &Moved) {
    let old = parse(&moved.from);
    let targets: Vec<Path> = moved.to.iter().map(|to| parse(to)).collect();
    let goes = |path: &Path| hop.was_read(path, false) && !hop.is_read(path, false);
    if !hop.is_read(&old, false) || !targets.iter().any(goes) || draft.get(&old).is_some() {
        return;
    }
    let set: Vec<_> =
        targets.iter().filter_map(|path| Some((path.clone(), draft.get(path)?.clone()))).collect();
    let Some((first, value)) = set.first() else { return };
    let value = if moved.cases.is_empty() {
        let same = set.len() == targets.len() && set.iter().all(|(_, other)| other == value);
        match (moved.list, value) {
            (false, value) if same => Some(value.clone()),
            (true, Value::Array(items)) if same && items.len() == 1 => items.first().cloned(),
            _ => None,
        }
    } else {
        let matches = |case: &&String| {
            let pairs = &moved.cases[*case];
            set.iter().all(|(path, value)| {
                pairs.get(&show(path)).is_some_and(|other| words::of(other) == words::of(value))
            })
        };
        moved.cases.keys().rev().find(matches).map(|case| Value::String(case.clone()))
    };
    let Some(value) = value else {
        let why = format!("{} reads {} instead, which cannot hold this", hop.to, moved.from);
        draft.hold(first, Note::new(Class::Conflict, why).from(&moved.source));
        return;
    };
    let why = format!("{} reads {} instead", hop.to, moved.from);
    let note = Note::new(Class::Renamed, why.clone()).from(&moved.source);
    for (path, _) in &set[1..] {
        draft.remove(path, Note::new(Class::Removed, why.clone()).from(&moved.source));
    }
    draft.rename(first, &[(old, value)], &note);
}

fn respell(draft: &mut Draft, hop: &Hop<'_>, word: &Word) {
    let path = parse(&word.path);
    let refused = match (word.since, word.before) {
        (Some(since), _) => !hop.is_down() && hop.to >= since,
        (None, Some(before)) => hop.is_down() && hop.to < before,
        (None, None) => false,
    };
    if !refused || draft.word(&path).as_ref() != Some(&word.word) {
        return;
    }
    let note = |class, why: String| Note::new(class, why).from(&word.source);
    match &word.becomes {
        Some(value) => {
            let why = format!("{} reads {} instead of {}", hop.to, words::of(value), word.word);
            draft.set(&path, value.clone(), note(Class::Replaced, why));
        }
        None => {
            let instead = word.instead.as_deref().unwrap_or_default();
            draft
                .report(&path, note(Class::Conflict, format!("{} refuses {}: {instead}", hop.to, word.word)));
        }
    }
    words::after(draft, hop, word);
}

/// Removes a value that the target does not read, and says what is lost with it.
fn remove_unread(draft: &mut Draft, hop: &Hop<'_>, path: &[String]) {
    let empty = is_empty(draft.get(path));
    if hop.is_read(path, empty) {
        if !hop.was_read(path, empty) {
            let why =
                format!("{} ignored it, and {} reads it: remove it unless you want it now", hop.from, hop.to);
            draft.report(path, Note::new(Class::Conflict, why));
        }
        return;
    }
    if !hop.was_read(path, empty) || draft.is_held(path) {
        return;
    }
    let Some(word) = draft.word(path) else { return };
    let name = show(path);
    let Some(fact) = facts::all().removed.iter().find(|fact| fact.path == name && !hop.is_down()) else {
        let why = format!(
            "{} has no such value: it is not known what takes its place; compare the values.yaml of both charts",
            hop.to
        );
        let class = if empty { Class::Removed } else { Class::Lost };
        draft.remove(path, Note::new(class, why));
        return;
    };
    let covered = fact
        .unless
        .iter()
        .any(|(other, words)| draft.word(&parse(other)).is_some_and(|word| words.contains(&word)));
    let harmless =
        empty || covered || fact.class.is_some() || fact.harmless.iter().any(|it| *it == "*" || *it == word);
    let class = if harmless { Class::Removed } else { Class::Lost };
    let why = if covered {
        let others: Vec<_> = fact.unless.keys().map(String::as_str).collect();
        format!("{} does not read it; {} includes it", hop.to, others.join(" and "))
    } else {
        format!("{} does not read it; {}", hop.to, fact.why)
    };
    draft.remove(path, Note::new(class, why).from(&fact.source));
}
