//! Decides what happens to each key.

use std::collections::{BTreeMap, BTreeSet};

use super::{Class, Decision, Request};
use crate::configmap::ConfigMap;
use crate::keys::{self, Key, Mapping, OnChange, WhenNew};
use crate::plan::{Options, plan_with};
use crate::required::ConfigChange;
use model::Minor;

/// Decides for every key of the file, then for those that the target adds.
pub(super) fn decide(config: &ConfigMap, request: &Request<'_>) -> Vec<Decision> {
    let known: Vec<_> = keys::up_to(request.from.minor().max(request.to.minor())).collect();
    let context = Context {
        request,
        data: config.data(),
        by_name: known.iter().map(|key| (key.key.as_str(), *key)).collect(),
        by_old_name: known
            .iter()
            .filter_map(|key| Some((key.renamed_from.as_ref()?.key.as_str(), *key)))
            .collect(),
        required: required(request),
    };
    let mut decisions: Vec<_> =
        context.data_in_order(config).flat_map(|(key, value)| context.existing(key, value)).collect();
    let mut taken: BTreeSet<String> = decisions.iter().map(|decision| decision.key.clone()).collect();
    for decision in context.additions(&known) {
        if taken.insert(decision.key.clone()) {
            decisions.push(decision);
        }
    }
    decisions
}

/// Collects what the guide requires on the way; versions without a route require nothing.
fn required(request: &Request<'_>) -> BTreeMap<String, ConfigChange> {
    let plan = plan_with(request.from, request.to, Options { downgrade: true, direct: false });
    let stages = plan.map(|plan| plan.stages).unwrap_or_default();
    stages.into_iter().flat_map(|stage| stage.config_changes).map(|c| (c.key.clone(), c)).collect()
}

struct Context<'a> {
    request: &'a Request<'a>,
    data: BTreeMap<&'a str, &'a str>,
    by_name: BTreeMap<&'static str, &'static Key>,
    by_old_name: BTreeMap<&'static str, &'static Key>,
    required: BTreeMap<String, ConfigChange>,
}

impl Context<'_> {
    fn data_in_order<'a>(&self, config: &'a ConfigMap) -> impl Iterator<Item = (&'a str, &'a str)> {
        config.entries().iter().filter_map(|entry| Some((entry.key.as_str(), entry.value.text()?)))
    }

    fn from(&self) -> Minor {
        self.request.from.minor()
    }

    fn to(&self) -> Minor {
        self.request.to.minor()
    }

    /// Tells whether an upgrade passes into a minor.
    fn passes(&self, into: Minor) -> bool {
        self.from() < into && into <= self.to()
    }

    /// Tells whether a downgrade leaves a minor.
    fn leaves(&self, into: Minor) -> bool {
        self.to() < into && into <= self.from()
    }

    fn existing(&self, key: &str, value: &str) -> Vec<Decision> {
        let fact = self.by_name.get(key).copied();
        if let Some(required) = self.required.get(key).filter(|required| !required.keep_existing) {
            return vec![self.require(key, None, value, required)];
        }
        if let Some(renamed) = self.rename(key, value, fact) {
            return vec![renamed];
        }
        let Some(fact) = fact else { return vec![self.unknown(key, value)] };
        if let Some(replaced) = self.replace(fact, value) {
            return replaced;
        }
        vec![self.keep_or_remove(fact, value)]
    }

    /// A key that has another name in the target.
    fn rename(&self, key: &str, value: &str, fact: Option<&Key>) -> Option<Decision> {
        if let Some(newer) = self.by_old_name.get(key) {
            let rename = newer.renamed_from.as_ref()?;
            if self.passes(rename.into) {
                return Some(self.move_value(key, &newer.key, value, newer, rename.value));
            }
            if self.from() >= rename.into && self.to() >= rename.into {
                let why =
                    format!("{} in {} took its place, and nothing reads it since", newer.key, rename.into);
                return Some(decision(key, Class::Removed, Some(value), None, newer, why));
            }
        }
        let fact = fact?;
        let rename = fact.renamed_from.as_ref().filter(|rename| self.leaves(rename.into))?;
        Some(self.move_value(key, &rename.key, value, fact, rename.value))
    }

    fn move_value(&self, old: &str, new: &str, value: &str, fact: &Key, mapping: Mapping) -> Decision {
        let (class, mapped) = match (mapping, value) {
            (Mapping::Same, _) => (Class::Renamed, value),
            (Mapping::Negated, "true") => (Class::Inverted, "false"),
            (Mapping::Negated, "false") => (Class::Inverted, "true"),
            (Mapping::Negated, _) => {
                let why = format!("{new} takes its place with the opposite value, and {value:?} has none");
                return decision(old, Class::Conflict, Some(value), Some(value), fact, why);
            }
        };
        if let Some(other) = self.data.get(new) {
            if *other == mapped {
                let why = format!("{new} says the same already");
                return decision(old, Class::Removed, Some(value), None, fact, why);
            }
            let why = format!("{new} takes its place and is set to {other:?}: remove the one that is wrong");
            return decision(old, Class::Conflict, Some(value), Some(value), fact, why);
        }
        if let Some(required) = self.required.get(new).filter(|required| !required.keep_existing) {
            return self.require(new, Some(old), value, required);
        }
        let effect = OnChange::None;
        let why = match mapping {
            Mapping::Same => format!("{old} is called {new} in {}", self.to()),
            Mapping::Negated => format!("{old} is called {new} in {} and means the opposite", self.to()),
        };
        let renamed = decision(new, class, Some(value), Some(mapped), fact, why);
        Decision { old_key: Some(old.to_owned()), effect, ..renamed }
    }

    fn require(&self, key: &str, old: Option<&str>, before: &str, required: &ConfigChange) -> Decision {
        Decision {
            key: key.to_owned(),
            old_key: old.map(ToOwned::to_owned),
            class: Class::Required,
            before: Some(before.to_owned()),
            after: Some(required.value.clone()),
            effect: OnChange::None,
            why: required.why.clone(),
            source: Some(required.source.clone()),
        }
    }

    /// A value that the target writes differently, perhaps with other keys.
    fn replace(&self, fact: &Key, value: &str) -> Option<Vec<Decision>> {
        let replacement = fact.replaced.as_ref().filter(|replacement| self.passes(replacement.into))?;
        let set = replacement.of(value)?;
        let names: Vec<_> = set.iter().map(|(key, value)| format!("{key}: {value:?}")).collect();
        let why = format!("{} writes {}: {value:?} as {}", replacement.into, fact.key, names.join(", "));
        let mut decisions = Vec::new();
        if !set.contains_key(&fact.key) {
            decisions.push(decision(&fact.key, Class::Removed, Some(value), None, fact, why.clone()));
        }
        for (key, after) in set {
            let before = if *key == fact.key { Some(value) } else { self.data.get(key.as_str()).copied() };
            if before.is_none() || *key == fact.key {
                let class = Class::Replaced;
                let effect = OnChange::None;
                decisions.push(Decision {
                    effect,
                    ..decision(key, class, before, Some(after), fact, why.clone())
                });
            }
        }
        Some(decisions)
    }

    fn keep_or_remove(&self, fact: &Key, value: &str) -> Decision {
        let to = self.to();
        let in_template = self.request.template.is_some_and(|template| template.value(&fact.key).is_some());
        let keep = |class, why: String| decision(&fact.key, class, Some(value), Some(value), fact, why);
        let remove = |why: String| decision(&fact.key, Class::Removed, Some(value), None, fact, why);
        if let Some(removed) = fact.removed.filter(|removed| *removed <= to) {
            return remove(format!("nothing reads it from {removed} on"));
        }
        if let Some(introduced) = fact.introduced().filter(|first| self.leaves(*first) && !in_template) {
            return remove(format!("{to} does not know it, it came with {introduced}"));
        }
        let target = self.target(fact);
        if let Some(target) = target.as_deref().filter(|target| *target != value) {
            if self.request.adopt.contains(&fact.key) {
                let why = format!("asked for the default of {to}");
                return decision(&fact.key, Class::Adopted, Some(value), Some(target), fact, why);
            }
            if fact.default_at(self.request.from) == Some(value) {
                let why = format!("the default is now {target:?}; today's value stays unless you adopt it");
                return keep(Class::DefaultFlipped, why);
            }
        }
        match fact.deprecated.filter(|deprecated| *deprecated <= to) {
            Some(deprecated) => keep(Class::Deprecated, format!("deprecated in {deprecated}")),
            None => match fact.args_before.filter(|first| to < *first) {
                Some(first) => keep(Class::Kept, format!("yours, but before {first} the DaemonSet decides")),
                None => keep(Class::Kept, "yours".to_owned()),
            },
        }
    }

    fn unknown(&self, key: &str, value: &str) -> Decision {
        let class = match self.request.template {
            Some(template) if template.value(key).is_some() => Class::Kept,
            _ => Class::Unknown,
        };
        let why = match class {
            Class::Kept => "yours",
            _ => "no template and no guide knows it: check the spelling",
        };
        let value = Some(value.to_owned());
        let (before, after) = (value.clone(), value);
        let (old_key, source, effect) = (None, None, OnChange::None);
        Decision { key: key.to_owned(), old_key, class, before, after, effect, why: why.to_owned(), source }
    }

    /// Keys that the target has and the file does not: required ones first, then the template's.
    fn additions(&self, known: &[&'static Key]) -> Vec<Decision> {
        let absent = |key: &str| !self.data.contains_key(key);
        let required = self
            .required
            .values()
            .filter(|required| absent(&required.key))
            .map(|required| Decision { before: None, ..self.require(&required.key, None, "", required) });
        let mut additions: Vec<_> = required.collect();
        if self.to() < self.from() {
            return additions; // An older agent falls back to its own defaults.
        }
        let mut new = |name: &str, fact: Option<&Key>| {
            let target = match fact {
                Some(fact) => self.target(fact),
                None => {
                    self.request.template.and_then(|template| template.value(name)).map(ToOwned::to_owned)
                }
            };
            if let Some(target) = target.filter(|_| absent(name)) {
                additions.push(self.new_key(name, fact, &target));
            }
        };
        match self.request.template {
            Some(template) => template.keys().for_each(|name| new(name, self.by_name.get(name).copied())),
            None => known.iter().for_each(|fact| new(&fact.key, Some(fact))),
        }
        additions
    }

    fn new_key(&self, name: &str, fact: Option<&Key>, target: &str) -> Decision {
        let to = self.to();
        let adopted = self.request.adopt.contains(name);
        let had = fact.is_some_and(|fact| fact.default_at(self.request.from).is_some());
        let policy = fact.map_or(&WhenNew::Adopt, |fact| &fact.when_new);
        let (class, after, why) = match policy {
            _ if adopted => (Class::Added, Some(target), format!("asked for the default of {to}")),
            _ if had => (Class::Omitted, None, format!("your file leaves it out already in {}", self.from())),
            WhenNew::Omit => (Class::Omitted, None, "without it today's behaviour stays".to_owned()),
            WhenNew::Pin(value) => {
                let value = fact
                    .and_then(|fact| fact.replaced.as_ref())
                    .filter(|r| r.into <= to)
                    .map_or(value.as_str(), |replacement| {
                        replacement.of(value).and_then(|set| set.get(name)).map_or(value, |v| v)
                    });
                let why = if value == target {
                    format!("new in {to}")
                } else {
                    format!("keeps today's behaviour; the default of {to} is {target:?}")
                };
                (Class::Added, Some(value), why)
            }
            WhenNew::Adopt => {
                (Class::Added, Some(target), format!("new since {}, with its default", self.from()))
            }
        };
        Decision {
            key: name.to_owned(),
            old_key: None,
            class,
            before: None,
            after: after.map(ToOwned::to_owned),
            effect: OnChange::None,
            why,
            source: fact.map(|fact| fact.origin().0),
        }
    }

    /// The target's value: of the given template, else of the built-in one.
    fn target(&self, fact: &Key) -> Option<String> {
        match self.request.template {
            Some(template) => template.value(&fact.key).map(ToOwned::to_owned),
            None => fact.default_at(self.request.to).map(ToOwned::to_owned),
        }
    }
}

fn decision(
    key: &str,
    class: Class,
    before: Option<&str>,
    after: Option<&str>,
    fact: &Key,
    why: String,
) -> Decision {
    let why = match &fact.note {
        Some(note) if matches!(class, Class::DefaultFlipped | Class::Adopted) => format!("{why} ({note})"),
        _ => why,
    };
    Decision {
        key: key.to_owned(),
        old_key: None,
        class,
        before: before.map(ToOwned::to_owned),
        after: after.map(ToOwned::to_owned),
        effect: if before == after || class == Class::Removed { OnChange::None } else { fact.on_change },
        why,
        source: Some(fact.origin().0),
    }
}
