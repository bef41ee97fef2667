//! The key `kube-proxy-replacement` together with the features that it includes.
//!
//! Up to 1.13 its values are words. 1.14 reads the words and true or false, 1.15 true or false only. `disabled` turns
//! the features off whatever their keys are; `partial` and false leave them to their keys; `strict` and true turn them on.

use super::Class;
use super::draft::{Draft, Note};
use super::hop::Hop;
use crate::keys;
use model::Minor;

const KEY: &str = "kube-proxy-replacement";
const NODE_PORT: &str = "enable-node-port";

/// The features that the words include.
const FEATURES: [&str; 5] =
    [NODE_PORT, "enable-external-ips", "enable-host-port", "bpf-lb-sock", "enable-host-reachable-services"];
/// The features whose keys depend on NodePort.
const WITH_NODE_PORT: [&str; 2] = ["enable-external-ips", "enable-host-port"];

/// The first minor without the word `probe`.
const NO_PROBE: Minor = Minor::new(1, 13);
/// The first minor that reads true and false.
const BOOLEAN: Minor = Minor::new(1, 14);
/// The first minor that reads true and false only.
const NO_WORDS: Minor = Minor::new(1, 15);
/// The first minor in which true alone turns NodePort on.
const NO_FEATURES: Minor = Minor::new(1, 19);

/// Tells whether this module decides on a key that is absent.
pub(super) fn owns(name: &str) -> bool {
    name == KEY || WITH_NODE_PORT.contains(&name)
}

/// Converts the keys where a hop needs it.
pub(super) fn convert(draft: &mut Draft, hop: &Hop<'_>) {
    if hop.is_down() {
        backward(draft, hop);
    } else {
        forward(draft, hop);
    }
}

fn note(class: Class, why: impl Into<String>) -> Note {
    Note::of(class, why, keys::find(KEY))
}

fn forward(draft: &mut Draft, hop: &Hop<'_>) {
    if hop.enters(Minor::new(1, 7)) && !draft.has(KEY) {
        let (value, why) = if uses_features(draft) {
            ("partial", "features of it are set one by one, as before 1.7")
        } else {
            ("disabled", "before 1.7 no feature of it is on")
        };
        draft.set(KEY, value, note(Class::Added, why));
    }
    if draft.is(KEY, "probe") && hop.target() >= NO_PROBE {
        let why = format!(
            "{NO_PROBE} does not start with \"probe\", which turns on what the kernel supports: set \"strict\" (\"true\" since \
             {BOOLEAN}) if it does, else \"partial\" (\"false\" since {BOOLEAN}) with the features that you need"
        );
        draft.conflict(KEY, note(Class::Conflict, why));
    }
    if hop.enters(BOOLEAN) {
        pin_with_node_port(draft, hop, "true");
    }
    if hop.target() >= NO_WORDS {
        words_to_booleans(draft);
    }
    if hop.target() >= NO_FEATURES {
        needs_replacement(draft);
    }
}

fn backward(draft: &mut Draft, hop: &Hop<'_>) {
    if hop.leaves(BOOLEAN) {
        pin_with_node_port(draft, hop, "false");
        let word = match draft.get(KEY) {
            Some("true") => "strict",
            Some("false") if uses_features(draft) => "partial",
            Some("false") => "disabled",
            _ => return,
        };
        let why = format!("{} reads words instead of true and false", hop.to);
        draft.set(KEY, word, note(Class::Replaced, why));
    }
    if hop.leaves(Minor::new(1, 7)) && draft.is(KEY, "strict") {
        let why = format!("{} does not read it: set the features that you need one by one", hop.to);
        draft.conflict(KEY, note(Class::Conflict, why));
    }
}

fn uses_features(draft: &Draft) -> bool {
    FEATURES.iter().any(|feature| draft.is(feature, "true"))
}

fn words_to_booleans(draft: &mut Draft) {
    let Some(word) = draft.get(KEY).map(ToOwned::to_owned) else { return };
    let value = match word.as_str() {
        "strict" => "true",
        "partial" | "disabled" => "false",
        _ => return,
    };
    draft.set(KEY, value, note(Class::Replaced, format!("{NO_WORDS} reads {value:?} instead of {word:?}")));
    if word == "disabled" {
        for feature in FEATURES.into_iter().filter(|feature| draft.is(feature, "true")).collect::<Vec<_>>() {
            let why = "\"disabled\" turned it off, and \"false\" does not";
            draft.set(feature, "false", note(Class::Replaced, why));
        }
    }
}

/// Keeps what depends on NodePort: its default is true up to 1.13 and false since 1.14.
fn pin_with_node_port(draft: &mut Draft, hop: &Hop<'_>, value: &str) {
    let single = !matches!(draft.get(KEY), Some("strict" | "true" | "disabled"));
    if !single || !draft.is(NODE_PORT, "true") {
        return;
    }
    for feature in WITH_NODE_PORT.into_iter().filter(|feature| !draft.has(feature)).collect::<Vec<_>>() {
        let why = format!("without the key it is {value:?} in {} and the opposite in {}", hop.from, hop.to);
        draft.set(feature, value, note(Class::Added, why));
    }
}

/// Removes features that the whole replacement includes, and reports those that nothing else turns on.
fn needs_replacement(draft: &mut Draft) {
    let whole = matches!(draft.get(KEY), Some("true" | "strict"));
    for feature in [NODE_PORT, "enable-external-ips", "enable-host-port"] {
        if whole {
            draft.remove(feature, note(Class::Removed, format!("{KEY}: \"true\" includes it")));
        } else if draft.is(feature, "true") {
            let why = format!("{NO_FEATURES} turns it on only with {KEY}: \"true\": decide between the two");
            draft.conflict(feature, note(Class::Conflict, why));
        }
    }
}
