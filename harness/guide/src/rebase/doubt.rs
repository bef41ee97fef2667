//! Checks whether a file is what the request says: Cilium's ConfigMap, of the given version, managed by hand.

use std::collections::BTreeSet;

use super::RebaseError;
use super::template::Template;
use crate::catalogue;
use crate::configmap::{ConfigMap, NAME};
use crate::keys;
use crate::options;
use crate::yaml::Node;
use model::{Minor, Version};

/// So many keys of a later version raise a doubt.
const NEWER_KEYS: usize = 2;
/// A file with this share of the keys of a default ConfigMap, or more, was made from one, in percent.
const ALIKE: usize = 80;
/// The share by which another version must match better, in percent.
const BETTER: usize = 8;

/// Labels and annotations of tools that revert changes of others, with the name of the tool.
const MANAGERS: [(&str, &str); 3] = [
    ("addonmanager.kubernetes.io/mode", "the add-on manager of the cluster's provider"),
    ("kubernetes.azure.com/managedby", "AKS"),
    ("components.gke.io/component-name", "GKE"),
];

/// Refuses a ConfigMap of another program.
///
/// # Errors
/// Fails when the ConfigMap has another name and fewer than half of its keys are known.
pub(super) fn require_cilium(config: &ConfigMap, template: Option<&Template>) -> Result<(), RebaseError> {
    let name = config.name();
    let entries = config.entries();
    let known = |key: &str| {
        let listed = !options::named(key).is_empty() || keys::find(key).is_some();
        listed || template.is_some_and(|template| template.value(key).is_some())
    };
    let count = entries.iter().filter(|entry| known(&entry.key)).count();
    if name == Some(NAME) || 2 * count >= entries.len() {
        return Ok(());
    }
    let name = name.unwrap_or("without a name").to_owned();
    Err(RebaseError::NotCilium {
        position: config.object().position,
        name,
        known: count,
        keys: entries.len(),
    })
}

/// Returns why the file seems to be of another version than the given one.
pub(super) fn of_version(config: &ConfigMap, from: &Version) -> Option<String> {
    newer_keys(config, from.minor()).or_else(|| better_match(config, from.minor()))
}

fn newer_keys(config: &ConfigMap, from: Minor) -> Option<String> {
    if from < options::FIRST {
        return None;
    }
    let first = |key: &str| options::named(key).iter().map(|option| option.since()).min();
    let newer: Vec<_> = config
        .entries()
        .iter()
        .filter_map(|entry| Some((first(&entry.key).filter(|first| *first > from)?, entry.key.as_str())))
        .collect();
    let (since, example) = newer.iter().max()?;
    (newer.len() >= NEWER_KEYS).then(|| {
        format!("{} keys came after {from}, for example {example} in {since}: check --from", newer.len())
    })
}

fn better_match(config: &ConfigMap, from: Minor) -> Option<String> {
    let file: BTreeSet<_> = config.entries().iter().map(|entry| entry.key.as_str()).collect();
    let share = |version: &Version| {
        let default: BTreeSet<_> =
            keys::all().filter(|key| key.default_at(version).is_some()).map(|key| key.key.as_str()).collect();
        100 * file.intersection(&default).count() / file.union(&default).count().max(1)
    };
    let lines = catalogue::lines().iter().filter(|line| line.minor >= options::FIRST);
    let shares: Vec<_> = lines.map(|line| (share(&line.latest), line.minor)).collect();
    let (best, minor) = shares.iter().copied().max()?;
    let (own, _) = shares.into_iter().find(|(_, minor)| *minor == from)?;
    (best >= ALIKE && own + BETTER <= best).then(|| {
        format!("the file has {best} % of the keys of {minor}, but {own} % of those of {from}: check --from")
    })
}

/// Returns the tools that manage the ConfigMap and revert changes.
pub(super) fn managers(config: &ConfigMap) -> Vec<String> {
    let metadata = config.object().get("metadata");
    let marks = |name: &str| {
        let groups = ["labels", "annotations"].into_iter().filter_map(|group| metadata?.get(group));
        groups.filter_map(|group| group.get(name)).filter_map(Node::text).next().is_some()
    };
    let found = MANAGERS.iter().filter(|(mark, _)| marks(mark));
    found
        .map(|(mark, tool)| {
            format!("{tool} manages this ConfigMap ({mark}) and reverts changes: use its tools")
        })
        .collect()
}
