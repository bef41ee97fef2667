//! `seatrial image`: the image of the probes, for clusters that seatrial did not make.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use cluster::images::write_archive;

use crate::bundle::Bundle;
use crate::exit;

/// Arguments of `image`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// File to write: an OCI archive, for `ctr images import`, `kind load image-archive`, or `skopeo copy oci-archive:FILE
    /// docker://REGISTRY/NAME`.
    file: PathBuf,
}

/// Writes the archive and prints the name of the image in it.
pub(crate) async fn run(args: Args) -> anyhow::Result<u8> {
    let bundle = Bundle::new().await?;
    let image = bundle.role("probe");
    write_archive(&args.file, std::slice::from_ref(&image))?;
    writeln!(std::io::stdout(), "{}", image.reference)?;
    Ok(exit::PASSED)
}
