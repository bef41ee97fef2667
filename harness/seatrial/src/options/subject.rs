//! The options that choose a subject.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use engine::paths;
use subject::{SubjectOptions, registry};

/// Which subject, and its source.
#[derive(Clone, Debug, Args)]
pub(crate) struct SubjectArgs {
    /// Component to upgrade. Default with --charts: cilium.
    #[arg(long, value_parser = names())]
    subject: Option<String>,
    /// Charts of Cilium: the address of a chart repository, or a folder with one for each version, as cilium-1.6.12.tgz, as
    /// the folder of a chart, or as manifests in 1.5.13.yaml or in a folder 1.5.13.
    #[arg(long, value_name = "DIR|URL", required_if_eq("subject", "cilium"), group = "source")]
    charts: Option<String>,
    /// Any other network component that is a DaemonSet: a file that names its objects, and the manifests or the chart of each
    /// version, such as scenarios/e2e/flannel/flannel.yaml.
    #[arg(long, value_name = "FILE", group = "source", conflicts_with_all = ["subject", "yes_upgrade"])]
    subject_file: Option<PathBuf>,
    /// Values for the charts; for some minors only with them as a prefix, as in 1.7-1.8:FILE. Can be repeated.
    #[arg(long, value_name = "[MINORS:]FILE", requires = "charts")]
    values: Vec<String>,
    /// One value, which overrides those of files; with minors as a prefix or without. Can be repeated.
    #[arg(long, value_name = "[MINORS:]KEY=VALUE", requires = "charts")]
    set: Vec<String>,
    /// Objects to apply before Cilium is installed, such as the Secret with the certificates of an etcd: a manifest, or a
    /// folder of manifests. Can be repeated.
    #[arg(long, value_name = "FILE|DIR", requires = "charts", conflicts_with = "yes_upgrade")]
    prerequisites: Vec<PathBuf>,
    /// Archive of images to load into every node, as `docker save` or an OCI tool writes it. Can be repeated.
    #[arg(long, value_name = "FILE", requires = "source", conflicts_with = "yes_upgrade")]
    images: Vec<PathBuf>,
    /// Replace the images of the charts with images of the stand-in, which is the agent, and idle programs. This tests the
    /// charts and the procedure, and not Cilium.
    #[arg(long, requires = "charts", conflicts_with_all = ["images", "yes_upgrade"])]
    shim: bool,
}

/// The names of all subjects.
fn names() -> PossibleValuesParser {
    let value = |subject: &subject::Registration| PossibleValue::new(subject.name).help(subject.summary);
    PossibleValuesParser::new(registry::SUBJECTS.iter().map(value))
}

impl SubjectArgs {
    /// The options for the engine.
    pub(crate) fn options(self) -> SubjectOptions {
        let Self { subject, charts, subject_file, values, set, prerequisites, images, shim } = self;
        let (file, cache) = (subject_file, paths::cache());
        SubjectOptions { subject, charts, file, values, set, prerequisites, images, shim, cache }
    }
}
