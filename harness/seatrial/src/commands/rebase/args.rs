//! Arguments of `seatrial rebase`.

use std::path::{Path, PathBuf};

use model::VersionSpec;

/// Arguments of `seatrial rebase`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Version that the file was written for.
    #[arg(long, value_name = "VERSION")]
    pub(super) from: VersionSpec,
    /// Version to rebase it onto.
    #[arg(long, value_name = "VERSION")]
    pub(super) to: VersionSpec,
    /// Manifest or export with the ConfigMap cilium-config; - reads standard input.
    #[arg(required_unless_present = "values", conflicts_with = "values")]
    file: Option<PathBuf>,
    /// Rebase a values file of the Helm chart instead of a ConfigMap; - reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["template", "adopt", "comments"])]
    pub(super) values: Option<PathBuf>,
    /// With --values: also compare what the charts of both versions render; the address of a chart repository, or a folder
    /// of charts.
    #[arg(long, value_name = "PLACE", requires = "values")]
    pub(super) charts: Option<String>,
    /// ConfigMap of the target version, or a chart (folder or .tgz, rendered with helm). Default: the built-in template.
    #[arg(long, value_name = "PATH")]
    pub(super) template: Option<PathBuf>,
    /// Adopt the target's default for this key although that changes the behaviour of the cluster.
    #[arg(long, value_name = "KEY")]
    pub(super) adopt: Vec<String>,
    /// Add the template's comments above keys that have none.
    #[arg(long)]
    pub(super) comments: bool,
    /// Output format.
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    /// Change nothing; print the diff and exit with 1 if there is one.
    #[arg(long, conflicts_with = "in_place")]
    pub(super) check: bool,
    /// Replace the file atomically, and keep the old one as FILE.bak.
    #[arg(long)]
    pub(super) in_place: bool,
    /// Print the reason for each key to standard error.
    #[arg(long)]
    pub(super) explain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    Yaml,
    Diff,
    Json,
}

impl Args {
    /// The file to rebase.
    pub(super) fn file(&self) -> &Path {
        self.values.as_deref().or(self.file.as_deref()).unwrap_or(Path::new("-"))
    }

    /// The output format.
    pub(super) fn output(&self) -> Output {
        self.output.unwrap_or(if self.check { Output::Diff } else { Output::Yaml })
    }
}
