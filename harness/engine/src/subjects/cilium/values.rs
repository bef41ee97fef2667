//! Values of Cilium's charts: what a cluster of ours needs, and what the user gives for some versions or for all.

use std::path::PathBuf;

use model::{Minor, Version};
use serde_json::{Map, Value};

use crate::exit::Usage;
use crate::subjects::Facts;

/// Something that the user gave, for some minors or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given<T> {
    minors: Option<(Minor, Minor)>,
    what: T,
}

impl<T> Given<T> {
    /// What was given, if it is for this version.
    pub(super) fn of(&self, version: &Version) -> Option<&T> {
        let minor = version.minor();
        self.minors.is_none_or(|(from, to)| from <= minor && minor <= to).then_some(&self.what)
    }

    /// What was given, whatever it is for.
    pub(super) fn any(&self) -> &T {
        &self.what
    }
}

/// Reads `FILE` or `1.7-1.8:FILE`, and that there is such a file.
pub(super) fn file(text: &str) -> Result<Given<PathBuf>, Usage> {
    let (minors, path) = minors(text);
    let path = PathBuf::from(path);
    if path.is_file() {
        return Ok(Given { minors, what: path });
    }
    Err(Usage(format!("the values {} cannot be read: it is no file", path.display())))
}

/// Reads `KEY=VALUE` or `1.7-1.8:KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<Given<(String, String)>, Usage> {
    let (minors, pair) = minors(text);
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok(Given { minors, what: (key.to_owned(), value.to_owned()) })
        }
        _ => Err(Usage(format!("--set {text} is no pair; write it as KEY=VALUE"))),
    }
}

/// The minors before a colon, and the rest; a text that begins otherwise is for all.
fn minors(text: &str) -> (Option<(Minor, Minor)>, &str) {
    let range = |minors: &str| {
        let (from, to) = minors.split_once('-').unwrap_or((minors, minors));
        Some((from.parse().ok()?, to.parse().ok()?))
    };
    match text.split_once(':').and_then(|(before, rest)| Some((range(before)?, rest))) {
        Some((minors, rest)) => (Some(minors), rest),
        None => (None, text),
    }
}

/// All that was given for a version as one mapping, as helm would merge it; only its first two levels are looked at.
pub(super) fn merged(files: &[PathBuf], pairs: &[(String, String)]) -> Result<Value, Usage> {
    let mut all = Map::new();
    for file in files {
        let cannot = |e: String| Usage(format!("the values {} cannot be read: {e}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|e| cannot(e.to_string()))?;
        let values: Map<String, Value> =
            serde_saphyr::from_str(&text).map_err(|e| cannot(format!("it is no mapping: {e}")))?;
        all.extend(values);
    }
    for (key, value) in pairs {
        match key.split_once('.') {
            None => drop(all.insert(key.clone(), value.clone().into())),
            Some((first, rest)) => {
                let inner = all.entry(first).or_insert_with(|| Map::new().into());
                if let Some(inner) = inner.as_object_mut() {
                    inner.insert(rest.to_owned(), value.clone().into());
                } else {
                    *inner = Value::Object(Map::from_iter([(rest.to_owned(), value.clone().into())]));
                }
            }
        }
    }
    Ok(Value::Object(all))
}

/// What every version needs on a cluster of ours, where nobody but the subject translates services: the API server's own
/// address, no kube-proxy, the pod networks that Kubernetes has given, and from the second version on the one that was
/// installed first.
///
/// Source: the charts' values, 1.6.12 to 1.20.0.
pub(super) fn of_cluster(version: &Version, first: &Version, facts: &Facts) -> Vec<(String, String)> {
    let minor = version.minor();
    let (host, port) = &facts.api;
    let since = |major, number| minor >= Minor::new(major, number);
    let global = if since(1, 9) { "" } else { "global." };
    let mut values = vec![
        (format!("{global}k8sServiceHost"), host.clone()),
        (format!("{global}k8sServicePort"), port.to_string()),
    ];
    let mut set = |key: &str, value: &str| values.push((key.to_owned(), value.to_owned()));
    match () {
        () if since(1, 14) => set("kubeProxyReplacement", "true"),
        () if since(1, 9) => set("kubeProxyReplacement", "strict"),
        () if since(1, 7) => set("global.kubeProxyReplacement", "strict"),
        () => set("global.nodePort.enabled", "true"),
    }
    match () {
        () if since(1, 9) => set("ipam.mode", "kubernetes"),
        () if since(1, 8) => set("config.ipam", "kubernetes"),
        () => {}
    }
    if version.minor() > first.minor() {
        match () {
            () if since(1, 9) => set("upgradeCompatibility", &first.minor().to_string()),
            () if since(1, 8) => set("config.upgradeCompatibility", &first.minor().to_string()),
            () => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::all("a.b=c", "1.16.0", true)]
    #[case::that_one("1.7:a.b=c", "1.7.1", true)]
    #[case::another("1.7:a.b=c", "1.8.0", false)]
    #[case::range("1.7-1.8:a.b=c", "1.8.0", true)]
    #[case::range_is_over("1.7-1.8:a.b=c", "1.9.0", false)]
    #[case::colon_of_a_value("image=registry:5000/x", "1.9.0", true)]
    fn pairs_are_for_minors(#[case] text: &str, #[case] asked: &str, #[case] expected: bool) {
        assert_eq!(pair(text).unwrap().of(&version(asked)).is_some(), expected);
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        assert_eq!(pair("tunnel").unwrap_err().to_string(), "--set tunnel is no pair; write it as KEY=VALUE");
    }

    #[test]
    fn files_and_pairs_are_merged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("values.yaml");
        std::fs::write(&file, "tunnel: vxlan\noperator: {replicas: 1}\n").unwrap();
        let pairs = [("operator.enabled", "false"), ("global.debug.enabled", "true"), ("tunnel", "geneve")];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(
            merged(&[file], &pairs).unwrap(),
            json!({
                "tunnel": "geneve",
                "operator": {"replicas": 1, "enabled": "false"},
                "global": {"debug.enabled": "true"},
            })
        );
    }

    #[rstest]
    #[case::first_of_its_kind("1.6.12", &["global.k8sServiceHost=a", "global.k8sServicePort=6443", "global.nodePort.enabled=true"])]
    #[case::second("1.8.0", &["global.k8sServiceHost=a", "global.k8sServicePort=6443", "global.kubeProxyReplacement=strict",
        "config.ipam=kubernetes", "config.upgradeCompatibility=1.6"])]
    #[case::of_one_piece("1.16.19", &["k8sServiceHost=a", "k8sServicePort=6443", "kubeProxyReplacement=true",
        "ipam.mode=kubernetes", "upgradeCompatibility=1.6"])]
    fn every_era_has_its_own_names(#[case] asked: &str, #[case] expected: &[&str]) {
        let api = ("a".to_owned(), 6443);
        let facts =
            Facts { helm: PathBuf::new(), kubernetes: String::new(), api, nodes: Vec::new(), ours: true };
        let values = of_cluster(&version(asked), &version("1.6.12"), &facts);
        let values: Vec<_> = values.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(values, expected);
    }
}
