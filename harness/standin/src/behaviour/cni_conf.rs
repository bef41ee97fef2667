//! What happens to `05-cilium.conf` when the agent starts.

/// How a version treats a CNI configuration that already exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CniConf {
    /// Up to 1.5: an existing file is left alone.
    KeepExisting,
    /// From 1.6: the file is always written, unless `CILIUM_CUSTOM_CNI_CONF` is true.
    Overwrite,
}

impl CniConf {
    /// Returns whether the agent writes the file.
    pub(crate) fn writes(self, exists: bool, custom: bool) -> bool {
        match self {
            Self::KeepExisting => !exists,
            Self::Overwrite => !(exists && custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CniConf::{self, KeepExisting, Overwrite};
    use rstest::rstest;

    #[rstest]
    #[case::keeps_existing(KeepExisting, true, false, false)]
    #[case::keep_writes_missing(KeepExisting, false, false, true)]
    #[case::overwrites(Overwrite, true, false, true)]
    #[case::spares_custom(Overwrite, true, true, false)]
    #[case::custom_but_missing(Overwrite, false, true, true)]
    fn decides(#[case] behaviour: CniConf, #[case] exists: bool, #[case] custom: bool, #[case] writes: bool) {
        assert_eq!(behaviour.writes(exists, custom), writes);
    }
}
