//! Words of values, and those of `kubeProxyReplacement`, which count together with single features.

use serde_json::Value;

use super::draft::{Draft, Note};
use super::facts::Word;
use super::hop::Hop;
use super::path::{parse, word};
use crate::rebase::Class;

/// The features that `disabled` turned off, whatever their values were.
const FEATURES: [&str; 5] = [
    "nodePort.enabled",
    "hostPort.enabled",
    "externalIPs.enabled",
    "socketLB.enabled",
    "hostServices.enabled",
];

/// Returns a value as a word.
pub(super) fn of(value: &Value) -> String {
    word(value)
}

/// Decides on what depends on a word that was replaced.
pub(super) fn after(draft: &mut Draft, hop: &Hop<'_>, fact: &Word) {
    if fact.path != "kubeProxyReplacement" {
        return;
    }
    let set = FEATURES.iter().filter(|name| draft.word(&parse(name)).as_deref() == Some("true"));
    let set: Vec<_> = set.copied().collect();
    if fact.word == "disabled" {
        for name in set {
            let why = "kubeProxyReplacement: disabled turned it off, and false does not";
            draft.set(&parse(name), Value::Bool(false), Note::new(Class::Replaced, why).from(&fact.source));
        }
    } else if fact.word == "false" && set.is_empty() {
        let why = format!("{} reads words instead of true and false", hop.to);
        let note = Note::new(Class::Replaced, why).from(&fact.source);
        draft.set(&parse(&fact.path), Value::String("disabled".to_owned()), note);
    }
}
