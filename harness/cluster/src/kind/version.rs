//! Supported releases of kind, and of Kubernetes on its nodes.

use std::path::Path;

use super::error::KindError;
use crate::release::{is_supported_kind, parse};
use crate::spawn::Run;

/// The oldest Kubernetes whose kubelet runs with cgroup v2.
///
/// Source: release notes of Kubernetes 1.19.
const CGROUP_V2_FROM: (u32, u32) = (1, 19);

/// Refuses a kind that is too old.
pub(super) async fn check(kind: &Path) -> Result<(), KindError> {
    let version = Run::new(kind).args(["version"]).output().await?;
    if is_supported_kind(&version) {
        return Ok(());
    }
    Err(KindError::Old { path: kind.to_owned(), version: version.trim().to_owned() })
}

/// Refuses a node image whose Kubernetes cannot run with the cgroups of this machine.
pub(super) fn check_node(image: &str) -> Result<(), KindError> {
    let cgroup_v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if cgroup_v2 && !supports_cgroup_v2(image) {
        return Err(KindError::CgroupV2 { image: image.to_owned() });
    }
    Ok(())
}

/// Whether the Kubernetes of a node image supports cgroup v2, judging by its tag; unknown tags are accepted.
fn supports_cgroup_v2(image: &str) -> bool {
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
    #[case::no_tag("localhost:5000/node", true)]
    #[case::other_tag("seatrial/node:0123456789ab", true)]
    fn old_kubelets_need_cgroup_v1(#[case] image: &str, #[case] supported: bool) {
        assert_eq!(supports_cgroup_v2(image), supported);
    }
}
