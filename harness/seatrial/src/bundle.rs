//! The images of a run: this program under the names of all its roles, and the tools that the roles call.

use anyhow::Context as _;
use cluster::images::{Image, Layer, LayerBuilder, REGISTRY, host_program};
use tempfile::TempDir;

use crate::roles;

/// One layer that all images share, on disk as long as this lives.
#[derive(Debug)]
pub(crate) struct Bundle {
    base: Layer,
    folder: TempDir,
}

impl Bundle {
    /// Packs this program.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder could be made")?;
        let mut layer = LayerBuilder::create(&folder.path().join("base.tar"))?;
        layer.program(std::path::Path::new("/proc/self/exe"), "/usr/bin/seatrial").await?;
        for role in roles::IN_IMAGES {
            layer.link(&format!("/usr/bin/{role}"), "seatrial")?;
        }
        for (program, package) in [("nft", "nftables"), ("conntrack", "conntrack")] {
            layer.program(&host_program(program, package)?, &format!("/usr/sbin/{program}")).await?;
        }
        layer.folder("/tmp")?;
        Ok(Self { base: layer.finish()?, folder })
    }

    /// The image in which one role is the entry point.
    pub(crate) fn role(&self, role: &str) -> Image {
        Image {
            reference: format!("{REGISTRY}/{role}:{}", self.base.short()),
            layers: vec![self.base.clone()],
            entrypoint: vec![format!("/usr/bin/{role}")],
            env: vec![],
        }
    }
}
