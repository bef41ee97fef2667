//! The options that choose a subject, checked before anything exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cluster::Components;
use model::{Version, VersionSpec};
use probe::traffic::Traffic;
use subject::{Names, Subject};

use super::cilium::{self, Source};
use super::{Standin, file};
use crate::exit::Usage;

/// What can be upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SubjectName {
    /// Our own small agent that plays Cilium 1.0 to 1.6; needs no image registry.
    Standin,
    /// Cilium's own charts or manifests, of --charts.
    Cilium,
}

impl SubjectName {
    pub fn name(self) -> &'static str {
        match self {
            Self::Standin => "standin",
            Self::Cilium => "cilium",
        }
    }

    /// Finds out which of its versions can be run: those that the stand-in plays, or Cilium has published a chart of.
    pub fn playable(self) -> Result<Playable, Usage> {
        match self {
            Self::Standin => Ok(Playable::Standin(Box::new(Standin::find()?))),
            Self::Cilium => Ok(Playable::Published),
        }
    }
}

/// The versions of a subject that can be run.
#[derive(Debug)]
pub enum Playable {
    /// Those that the stand-in plays.
    Standin(Box<Standin>),
    /// Those of which Cilium has published a chart.
    Published,
}

impl Playable {
    /// Checks that a version can be run.
    pub fn supports(&self, version: &Version) -> Result<(), Usage> {
        match self {
            Self::Standin(program) => program.supports(version),
            Self::Published => {
                let line = guide::catalogue::line(version.minor());
                let charts = line.and_then(|line| line.chart.as_ref());
                if charts.is_some_and(|charts| charts.contains(version)) {
                    return Ok(());
                }
                Err(Usage(format!("there is no published chart of Cilium {version}")))
            }
        }
    }
}

/// Which subject, and where it comes from.
#[derive(Clone, Debug, Args)]
pub struct SubjectArgs {
    /// What is upgraded.
    #[arg(long, value_enum, default_value_t = SubjectName::Standin)]
    subject: SubjectName,
    /// Where Cilium's charts are: the address of a chart repository, or a folder with one for each version, as
    /// cilium-1.6.12.tgz, as the folder of a chart, or as manifests in 1.5.13.yaml or in a folder 1.5.13.
    #[arg(long, value_name = "DIR|URL", required_if_eq("subject", "cilium"), group = "source")]
    charts: Option<String>,
    /// Any other network component that is a DaemonSet: a file that names its objects and the manifests of its versions,
    /// as scenarios/e2e/flannel/flannel.yaml does.
    #[arg(long, value_name = "FILE", group = "source", conflicts_with_all = ["subject", "yes_upgrade"])]
    subject_file: Option<PathBuf>,
    /// Values for the charts; for some versions alone with their minors before it, as in 1.7-1.8:FILE. May be given again.
    #[arg(long, value_name = "[MINORS:]FILE", requires = "charts")]
    values: Vec<String>,
    /// One value, over those of files; likewise.
    #[arg(long, value_name = "[MINORS:]KEY=VALUE", requires = "charts")]
    set: Vec<String>,
    /// Objects to apply before Cilium is installed, such as the Secret with the certificates of an etcd: a manifest, or a
    /// folder of manifests. May be given again.
    #[arg(long, value_name = "FILE|DIR", requires = "charts", conflicts_with = "yes_upgrade")]
    prerequisites: Vec<PathBuf>,
    /// Archive of images to load into every node, as `docker save` or an OCI tool writes it. May be given again.
    #[arg(long, value_name = "FILE", requires = "source", conflicts_with = "yes_upgrade")]
    images: Vec<PathBuf>,
    /// Put images of our own under the names that the charts use: the stand-in as agent, and the rest idle. What is tried
    /// then are the charts and the procedure, and not Cilium.
    #[arg(long, requires = "charts", conflicts_with_all = ["images", "yes_upgrade"])]
    shim: bool,
}

/// A subject that was chosen.
#[derive(Clone, Debug)]
pub enum Choice {
    Standin(Box<Standin>),
    Cilium(Source),
    File(Box<file::Source>),
}

impl SubjectArgs {
    /// Reads what the options name.
    pub fn choose(&self) -> Result<Choice, Usage> {
        if let Some(file) = &self.subject_file {
            let source = file::Source::open(file, archives(&self.images)?)?;
            return Ok(Choice::File(Box::new(source)));
        }
        match (self.subject, &self.charts) {
            (SubjectName::Standin, None) => Choice::standin(),
            (SubjectName::Cilium, Some(charts)) => {
                let images = archives(&self.images)?;
                let source = Source::open(charts, &self.values, &self.set, images, self.shim)?;
                Ok(Choice::Cilium(source.with_prerequisites(&self.prerequisites)?))
            }
            (SubjectName::Standin, Some(_)) => {
                Err(Usage("the stand-in brings its own charts: --charts needs --subject cilium".to_owned()))
            }
            (SubjectName::Cilium, None) => Err(Usage("--subject cilium needs --charts".to_owned())),
        }
    }

    /// Checks that an upgrade leaves the settings of an installation that is there as they are.
    pub fn fits_what_is_there(&self) -> Result<(), Usage> {
        if self.subject == SubjectName::Cilium && self.values.is_empty() {
            let remedy = "name the values of your installation with --values, as `helm get values cilium -n kube-system \
                          -o yaml` prints them, or a file with {} if it has none";
            return Err(Usage(format!(
                "the charts' defaults would take the place of your settings: {remedy}"
            )));
        }
        Ok(())
    }
}

impl Choice {
    /// The stand-in, if its program can be found.
    pub fn standin() -> Result<Self, Usage> {
        Ok(Self::Standin(Box::new(Standin::find()?)))
    }

    /// Cilium's charts with images of our own.
    pub fn shim(charts: &str) -> Result<Self, Usage> {
        Ok(Self::Cilium(Source::open(charts, &[], &[], Vec::new(), true)?))
    }

    /// Asks which versions there are, where that is known elsewhere alone; to be done before any of them is named.
    pub async fn ask(&mut self, components: &Components) -> anyhow::Result<()> {
        match self {
            Self::Standin(_) | Self::File(_) => Ok(()),
            Self::Cilium(source) => source.ask(components).await,
        }
    }

    /// What reports call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Cilium(source) if source.is_shim() => "cilium's charts with images of the stand-in",
            _ => self.option(),
        }
    }

    /// What the command line calls it, or its file.
    pub fn option(&self) -> &str {
        match self {
            Self::Standin(_) => SubjectName::Standin.name(),
            Self::Cilium(_) => SubjectName::Cilium.name(),
            Self::File(source) => &source.names().name,
        }
    }

    /// Whether the guide says how it is upgraded.
    pub fn is_documented(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    /// What its objects are called.
    pub fn names(&self) -> Names {
        match self {
            Self::Standin(_) | Self::Cilium(_) => Names::cilium(),
            Self::File(source) => source.names().clone(),
        }
    }

    /// As much of the standard traffic as it carries.
    pub fn traffic(&self, standard: Traffic) -> Traffic {
        match self {
            Self::Standin(_) | Self::Cilium(_) => standard,
            Self::File(source) => source.traffic(standard),
        }
    }

    /// What of the standard traffic it does not carry.
    pub fn lacks(&self) -> Option<String> {
        match self {
            Self::Standin(_) | Self::Cilium(_) => None,
            Self::File(source) => Some(source.lacks()),
        }
    }

    /// Whether Services lead anywhere, the cluster's DNS among them.
    pub fn carries_services(&self) -> bool {
        match self {
            Self::Standin(_) | Self::Cilium(_) => true,
            Self::File(source) => source.carries_services(),
        }
    }

    /// Whether its clusters need addresses of both families, as far as that is known before it is installed.
    pub fn needs_dual_stack(&self) -> bool {
        match self {
            Self::Standin(_) | Self::Cilium(_) => false,
            Self::File(source) => source.carries_ipv6(),
        }
    }

    /// Whether it gives pods IPv6 addresses as well, now that it is installed.
    pub async fn carries_ipv6(&self, installed: &Subject) -> anyhow::Result<bool> {
        match self {
            Self::Standin(_) => Ok(false),
            Self::Cilium(_) => cilium::carries_ipv6(installed).await,
            Self::File(source) => Ok(source.carries_ipv6()),
        }
    }

    /// Whether it can run a version.
    pub fn supports(&self, version: &Version) -> Result<(), Usage> {
        match self {
            Self::Standin(program) => program.supports(version),
            Self::Cilium(source) => source.supports(version),
            Self::File(source) => source.supports(version),
        }
    }

    /// Whether it can be installed on nodes that have no way to a registry.
    pub fn needs_registry(&self) -> bool {
        match self {
            Self::Standin(_) => false,
            Self::Cilium(source) => source.needs_registry(),
            Self::File(source) => source.needs_registry(),
        }
    }

    /// Whether nothing is known of a Kubernetes that it was made for: what is ours runs on each.
    pub fn runs_on_any_kubernetes(&self) -> bool {
        match self {
            Self::Standin(_) | Self::File(_) => true,
            Self::Cilium(source) => source.is_shim(),
        }
    }

    /// The images that must come from elsewhere for these versions, each once.
    pub async fn images(&self, versions: &[Version], helm: &Path) -> anyhow::Result<BTreeSet<String>> {
        match self {
            Self::Standin(_) | Self::File(_) => Ok(BTreeSet::new()),
            Self::Cilium(source) => cilium::images(source, versions, helm).await,
        }
    }

    /// The versions that can be had, where not every release can.
    pub fn available(&self) -> Option<&BTreeSet<Version>> {
        match self {
            Self::Standin(_) | Self::File(_) => None,
            Self::Cilium(source) => Some(source.available()),
        }
    }

    /// The version that is meant: without a patch, the latest that can be had.
    pub fn resolve(&self, text: &str) -> Result<Version, Usage> {
        let spec: VersionSpec = text.parse().map_err(|e| Usage(format!("{e}")))?;
        if let Self::File(source) = self {
            return source.resolve(&spec);
        }
        let known = guide::resolve(&spec).map_err(|e| Usage(e.to_string()))?;
        let same = |version: &&Version| version.minor() == known.minor();
        let had = self.available().and_then(|available| available.iter().rfind(same));
        Ok(match (spec, had) {
            (VersionSpec::Latest(_), Some(had)) => had.clone(),
            _ => known,
        })
    }
}

/// The archives of images that were named.
fn archives(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Usage> {
    let archive = |path: &PathBuf| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if absolute.is_file() {
            return Ok(absolute);
        }
        Err(Usage(format!("the images {} cannot be loaded: it is no file", path.display())))
    };
    paths.iter().map(archive).collect()
}
