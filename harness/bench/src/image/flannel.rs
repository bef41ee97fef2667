//! The images of flannel: flanneld of each version, and the CNI plugin that knows flannel.

use std::path::Path;

use anyhow::Context as _;
use cluster::Image;
use cluster::images::{LayerBuilder, REGISTRY, host_program, write_archive};

use super::programs::{FLANNEL_CNI, FLANNELD};

/// Writes them into one archive.
pub(super) async fn write(
    file: &Path,
    cache: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> anyhow::Result<()> {
    let plugin = FLANNEL_CNI.resolve(cache, progress).await?;
    let (nft, cp) = (host_program("nft", "nftables")?, host_program("cp", "coreutils")?);
    let work = tempfile::tempdir()?;
    let mut images = Vec::new();
    for (version, flanneld) in FLANNELD {
        let flanneld = flanneld.resolve(cache, progress).await?;
        let mut layer = LayerBuilder::create(&work.path().join(format!("{version}.tar")))?;
        layer.program(&flanneld, "/usr/bin/flanneld").await?;
        layer.program(&plugin, "/usr/bin/flannel-cni").await?;
        layer.program(&nft, "/usr/sbin/nft").await?;
        layer.program(&cp, "/usr/bin/cp").await?;
        images.push(Image {
            reference: format!("{REGISTRY}/flannel:v{version}"),
            layers: vec![layer.finish()?],
            entrypoint: vec!["/usr/bin/flanneld".to_owned()],
            env: Vec::new(),
        });
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    // A run that reads the file meanwhile never sees half of it.
    let partial = file.with_extension("partial");
    write_archive(&partial, &images)?;
    std::fs::rename(&partial, file).with_context(|| format!("{} cannot be written", file.display()))
}
