//! The Debian that a node image is made of; it changes only with its packages.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cluster::Run;
use sha2::{Digest as _, Sha256};

const PACKAGES: &str = "systemd,containerd,runc,containernetworking-plugins,iptables,nftables,conntrack,ethtool,socat,\
                        kmod,procps,iproute2,mount,util-linux,ca-certificates";

/// How long debootstrap may take.
const DEBOOTSTRAP: std::time::Duration = std::time::Duration::from_secs(3_600);

/// What nothing in a container reads.
const USELESS: [&str; 5] =
    ["var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"];

/// Unpacks it into `root`, an empty folder; `cache` keeps it for the next time.
pub(super) async fn unpack(
    root: &Path,
    cache: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> anyhow::Result<()> {
    let mirror = mirror().await?;
    let archive = cached(cache, &mirror);
    if archive.is_file() {
        Run::new("tar").arg("-C").arg(root).arg("-xf").arg(&archive).output().await?;
        return Ok(());
    }
    progress(format!("fetching Debian from {mirror}"));
    let include = format!("--include={PACKAGES}");
    Run::new("debootstrap")
        .within(DEBOOTSTRAP)
        .args(["--variant=minbase", &include, "bookworm"])
        .arg(root)
        .arg(&mirror)
        .output()
        .await
        .context("Debian cannot be fetched; name another mirror in DEBIAN_MIRROR")?;
    for folder in USELESS {
        let folder = root.join(folder);
        std::fs::remove_dir_all(&folder)?;
        std::fs::create_dir(&folder)?;
    }
    let partial = archive.with_extension("partial");
    Run::new("tar").arg("-C").arg(root).arg("-cf").arg(&partial).arg(".").output().await?;
    Ok(std::fs::rename(&partial, &archive)?)
}

fn cached(cache: &Path, mirror: &str) -> PathBuf {
    let key = Sha256::digest(format!("{mirror} {PACKAGES}"));
    let key: String = key[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    cache.join("kind").join(format!("debian-{key}.tar"))
}

/// `DEBIAN_MIRROR`, else the mirror that this machine itself uses.
async fn mirror() -> anyhow::Result<String> {
    if let Ok(mirror) = std::env::var("DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let targets = Run::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)", "Codename: bookworm"])
        .output()
        .await
        .context("apt cannot name a mirror of Debian bookworm; name one in DEBIAN_MIRROR")?;
    let first = targets.lines().next().map(str::to_owned);
    first.context("apt knows no mirror of Debian bookworm; name one in DEBIAN_MIRROR")
}
