//! `seatrial image`: images for existing clusters: of the probes, or of a shim.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use cluster::images::write_archive;
use cluster::{Component, Components, Image};

use engine::bundle::Bundle;
use engine::exit::{self, Usage};
use engine::{paths, subjects};
use subject::{SubjectOptions, registry};

/// Arguments of `image`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// File to write: an OCI archive, for `ctr images import`, `kind load image-archive`, or `skopeo copy oci-archive:FILE
    /// docker://REGISTRY/NAME`.
    file: PathBuf,
    /// Write shim images instead of the probe: under the image names of this version's chart, the stand-in as agent and
    /// idle programs for the rest. Repeatable.
    #[arg(long, value_name = "VERSION", requires = "charts")]
    shim: Vec<String>,
    /// Cilium's charts, as for `seatrial run`.
    #[arg(long, value_name = "DIR|URL", requires = "shim")]
    charts: Option<String>,
}

/// Writes the archive and prints the names of the images in it.
pub(crate) async fn run(args: Args) -> anyhow::Result<u8> {
    let bundle = Bundle::new().await?;
    let images = match &args.charts {
        None => vec![bundle.role("probe")],
        Some(charts) => shim(charts, &args.shim, &bundle).await?,
    };
    write_archive(&args.file, &images)?;
    for image in images {
        writeln!(std::io::stdout(), "{}", image.reference)?;
    }
    Ok(exit::PASSED)
}

/// The images that the charts of these versions use.
async fn shim(charts: &str, versions: &[String], bundle: &Bundle) -> anyhow::Result<Vec<Image>> {
    let components = Components::new(None, paths::cache());
    let charts = Some(charts.to_owned());
    let options = SubjectOptions { charts, shim: true, cache: paths::cache(), ..SubjectOptions::default() };
    let mut subject = registry::choose(&options).map_err(Usage::from)?;
    subject.load_versions(&components).await.map_err(subjects::failed)?;
    let versions = versions.iter().map(|version| subjects::resolve(&*subject, version));
    let versions = versions.collect::<Result<Vec<_>, _>>()?;
    versions.iter().try_for_each(|version| subject.supports(version)).map_err(Usage::from)?;
    let helm = components.resolve(Component::Helm, &|_| ()).await?;
    Ok(subjects::prepare(&*subject, &versions, bundle, &components, &helm).await?.images())
}
