//! Commands that render Cilium's Helm chart, or download it where it is not published.

use crate::catalogue;
use model::Version;

/// The file that holds the values of the release.
pub(super) const VALUES: &str = "values.yaml";

/// Returns the `helm template` command for a release, without values.
pub(super) fn helm_template(to: &Version, namespace: &str) -> String {
    if is_published(to) {
        format!("helm template cilium cilium/cilium --version {to} --namespace {namespace}")
    } else {
        format!("helm template cilium --namespace {namespace}")
    }
}

/// Tells whether the chart repository has the chart of a release.
pub(super) fn is_published(to: &Version) -> bool {
    let line = catalogue::line(to.minor());
    line.and_then(|line| line.chart.as_ref()).is_some_and(|chart| chart.contains(to))
}

/// Returns the commands that download a chart with the source of its release.
pub(super) fn download(to: &Version) -> Vec<String> {
    vec![
        format!("curl -LO https://github.com/cilium/cilium/archive/{to}.tar.gz"),
        format!("tar xzf {to}.tar.gz"),
        format!("cd cilium-{to}/install/kubernetes"),
    ]
}
