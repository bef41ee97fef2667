//! Releases of kind and Kubernetes, such as `v0.33.0`, as far as their major and minor numbers matter.

/// The oldest release of kind that starts the current node images and supports kube-proxy with nftables.
pub(crate) const OLDEST_KIND: &str = "v0.27";

/// Reads major and minor of a release such as `v0.33.0`.
pub(crate) fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether a kind with this version output, such as `kind v0.33.0 go1.25.1 linux/amd64`, is recent enough.
pub(crate) fn is_supported_kind(version: &str) -> bool {
    let release = version.strip_prefix("kind ").and_then(parse);
    release.is_some() && release >= parse(OLDEST_KIND)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::pinned("kind v0.33.0 go1.25.1 linux/amd64\n", true)]
    #[case::oldest("kind v0.27.0 go1.23.4 linux/amd64", true)]
    #[case::future("kind v1.0.0-alpha+0123456789abcd go1.30 linux/arm64", true)]
    #[case::too_old("kind v0.9.0 go1.15.2 linux/amd64", false)]
    #[case::other_program("kindle 0.99", false)]
    fn old_releases_of_kind_are_not_supported(#[case] version: &str, #[case] supported: bool) {
        assert_eq!(is_supported_kind(version), supported);
    }
}
