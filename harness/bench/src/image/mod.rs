//! `seatrial-bench image`: images that no registry has to provide.

mod debian;
mod flannel;
mod kind_node;
mod programs;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use clap::Subcommand;

/// Which image to make.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the images that scenarios/e2e/flannel/flannel.yaml uses to an archive for `seatrial run --images`.
    Flannel {
        /// Archive to write.
        file: PathBuf,
    },
    /// Make a node image for kind, unless Docker has it, and print its name.
    ///
    /// It is a Debian with systemd, containerd and the pinned Kubernetes, and needs root, Docker, Go and debootstrap. The
    /// first time it also needs a Debian mirror: the one that apt uses, or the one that DEBIAN_MIRROR names.
    KindNode,
}

/// Makes the image.
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let begun = Instant::now();
    let progress = |text: String| {
        // Progress that nobody reads is no reason to stop.
        drop(writeln!(io::stderr(), "{:5.1} s: {text}", begun.elapsed().as_secs_f64()));
    };
    let cache = cache();
    let printed = match command {
        Command::Flannel { file } => {
            flannel::write(&file, &cache, &progress).await?;
            file.display().to_string()
        }
        Command::KindNode => kind_node::make(&cache, &progress).await?,
    };
    writeln!(io::stdout(), "{printed}")?;
    Ok(())
}

/// The cache that seatrial uses: `SEATRIAL_CACHE`, else `seatrial` in the user's cache folder.
fn cache() -> PathBuf {
    if let Some(folder) = std::env::var_os("SEATRIAL_CACHE") {
        return folder.into();
    }
    let home = || std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("seatrial")
}
