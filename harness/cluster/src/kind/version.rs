//! Which releases of kind will do, and which of Kubernetes on its nodes.

use std::path::Path;

use super::KindError;
use crate::spawn::Run;

/// The oldest release that starts the node images of today, and knows nftables for kube-proxy.
pub(crate) const OLDEST: &str = "v0.27";

/// The oldest Kubernetes whose kubelet runs with cgroup v2.
///
/// Source: release notes of Kubernetes 1.19.
const CGROUP_V2_FROM: (u32, u32) = (1, 19);

/// Reads major and minor of a release such as `v0.33.0`.
fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether a kind will do that prints this for its version, as in `kind v0.33.0 go1.25.1 linux/amd64`.
pub(crate) fn will_do(said: &str) -> bool {
    let release = said.strip_prefix("kind ").and_then(parse);
    release.is_some() && release >= parse(OLDEST)
}

/// Refuses a kind that is too old, wherever it comes from.
pub(super) async fn check(kind: &Path) -> Result<(), KindError> {
    let said = Run::new(kind).args(["version"]).output().await?;
    if will_do(&said) {
        return Ok(());
    }
    Err(KindError::Old { path: kind.to_owned(), said: said.trim().to_owned() })
}

/// Refuses a node image whose Kubernetes cannot run with the cgroups of this machine.
pub(super) fn check_node(image: &str) -> Result<(), KindError> {
    let cgroup_v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if cgroup_v2 && !knows_cgroup_v2(image) {
        return Err(KindError::CgroupV2 { image: image.to_owned() });
    }
    Ok(())
}

/// Whether the Kubernetes of a node image runs with cgroup v2, as far as its tag says which that is.
fn knows_cgroup_v2(image: &str) -> bool {
    let named = image.split_once('@').map_or(image, |(named, _digest)| named);
    let release = named.rsplit_once(':').and_then(|(_, tag)| parse(tag));
    release.is_none_or(|release| release >= CGROUP_V2_FROM)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::too_old("kindest/node:v1.18.20", false)]
    #[case::too_old_with_digest("kindest/node:v1.9.11@sha256:0123", false)]
    #[case::first("kindest/node:v1.19.16", true)]
    #[case::newer("localhost:5000/kindest/node:v1.34.4@sha256:0123", true)]
    #[case::says_nothing("localhost:5000/node", true)]
    #[case::other_tag("seatrial/node:0123456789ab", true)]
    fn old_kubelets_want_cgroup_v1(#[case] image: &str, #[case] knows: bool) {
        assert_eq!(knows_cgroup_v2(image), knows);
    }

    #[rstest]
    #[case::pinned("kind v0.33.0 go1.25.1 linux/amd64\n", true)]
    #[case::oldest("kind v0.27.0 go1.23.4 linux/amd64", true)]
    #[case::to_come("kind v1.0.0-alpha+0123456789abcd go1.30 linux/arm64", true)]
    #[case::too_old("kind v0.9.0 go1.15.2 linux/amd64", false)]
    #[case::something_else("kindle 0.99", false)]
    fn old_releases_will_not_do(#[case] said: &str, #[case] will: bool) {
        assert_eq!(will_do(said), will);
    }
}
