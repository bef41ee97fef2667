//! Values of Cilium's charts: those that a cluster needs that was made for the run, and those of the user, for some
//! versions or for all.

use std::path::PathBuf;

use model::{Minor, Version};

use crate::facts::Facts;
use crate::input::InputError;

/// A value of the user, for some minors or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given<T> {
    minors: Option<(Minor, Minor)>,
    value: T,
}

impl<T> Given<T> {
    /// The value, if it is for this version.
    pub(super) fn of(&self, version: &Version) -> Option<&T> {
        let minor = version.minor();
        self.minors.is_none_or(|(from, to)| from <= minor && minor <= to).then_some(&self.value)
    }

    /// The value, whatever version it is for.
    pub(super) fn any(&self) -> &T {
        &self.value
    }
}

/// Parses `FILE` or `1.7-1.8:FILE`, and checks that the file exists.
pub(super) fn file(text: &str) -> Result<Given<PathBuf>, InputError> {
    let (minors, path) = minors(text);
    let path = PathBuf::from(path);
    if path.is_file() {
        return Ok(Given { minors, value: path });
    }
    Err(InputError(format!("the values {} cannot be read: it is not a file", path.display())))
}

/// Parses `KEY=VALUE` or `1.7-1.8:KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<Given<(String, String)>, InputError> {
    let (minors, pair) = minors(text);
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok(Given { minors, value: (key.to_owned(), value.to_owned()) })
        }
        _ => Err(InputError(format!("--set {text} is not a pair; write it as KEY=VALUE"))),
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

/// The values that a version needs on a cluster that was made for the run, where only the subject translates Services: the
/// API server's own address, no kube-proxy, the pod networks of Kubernetes, and from the second version on the one that was
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
    fn a_text_that_is_not_a_pair_is_refused() {
        assert_eq!(
            pair("tunnel").unwrap_err().to_string(),
            "--set tunnel is not a pair; write it as KEY=VALUE"
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
            Facts { helm: PathBuf::new(), kubernetes: String::new(), api, nodes: Vec::new(), made: true };
        let values = of_cluster(&version(asked), &version("1.6.12"), &facts);
        let values: Vec<_> = values.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(values, expected);
    }
}
