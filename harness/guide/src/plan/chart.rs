//! Commands that render Cilium's Helm chart, or download it where it is not published.

use crate::catalogue;
use model::Version;

/// Returns the `helm template` command for a release, without values.
pub(super) fn helm_template(to: &Version) -> String {
    if is_published(to) {
        format!("helm template cilium cilium/cilium --version {to} --namespace kube-system")
    } else {
        "helm template cilium --namespace kube-system".to_owned()
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
