//! Which releases of kind will do.

use std::path::Path;

use super::KindError;
use crate::spawn::Run;

/// The oldest release that starts the node images of today, and knows nftables for kube-proxy.
pub(crate) const OLDEST: &str = "v0.27";

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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

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
