//! Where Cilium's charts are, and which versions there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cluster::{Component, Components};
use model::Version;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subject::Layout;

use crate::exit::Usage;
use crate::paths;
use crate::scratch::Scratch;

/// The first minor whose chart is of one piece.
const WHOLE_FROM: model::Minor = model::Minor::new(1, 9);

/// Charts and manifests by version.
#[derive(Clone, Debug)]
pub(super) enum Charts {
    /// Of a folder: what was found there.
    Folder { folder: PathBuf, found: BTreeMap<Version, (PathBuf, Layout)>, versions: BTreeSet<Version> },
    /// Of a chart repository.
    Repository { address: String, versions: BTreeSet<Version> },
}

impl Charts {
    /// Looks into the folder, or takes the address.
    pub(super) fn open(place: &str) -> Result<Self, Usage> {
        if place.starts_with("http://") || place.starts_with("https://") {
            return Ok(Self::Repository { address: place.to_owned(), versions: BTreeSet::new() });
        }
        let folder = PathBuf::from(place);
        let cannot = |e: std::io::Error| Usage(format!("the charts in {place} cannot be read: {e}"));
        let mut found = BTreeMap::new();
        if let Some(chart) = recognize(&folder) {
            found.extend([chart]);
        }
        for entry in std::fs::read_dir(&folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            found.extend(recognize(&path));
        }
        if found.is_empty() {
            let remedy = "put charts there as cilium-1.6.12.tgz or as folders with a Chart.yaml, or manifests \
                          as 1.5.13.yaml";
            return Err(Usage(format!("there is no chart of Cilium in {place}; {remedy}")));
        }
        let versions = found.keys().cloned().collect();
        Ok(Self::Folder { folder, found, versions })
    }

    /// Asks a repository what it has; until then it has nothing.
    pub(super) async fn ask(&mut self, components: &Components) -> anyhow::Result<()> {
        if let Self::Repository { address, versions } = self {
            let helm = components.resolve(Component::Helm, &|_| {}).await?;
            *versions = published(address, &helm).await?;
        }
        Ok(())
    }

    /// The versions that can be had.
    pub(super) fn available(&self) -> &BTreeSet<Version> {
        match self {
            Self::Folder { versions, .. } | Self::Repository { versions, .. } => versions,
        }
    }

    /// Says why a version cannot be had.
    pub(super) fn supports(&self, version: &Version) -> Result<(), Usage> {
        let versions = self.available();
        if versions.contains(version) {
            return Ok(());
        }
        let place = match self {
            Self::Folder { folder, .. } => folder.display().to_string(),
            Self::Repository { address, .. } => address.clone(),
        };
        // A repository has hundreds: those of the same minor say enough.
        let near = || versions.iter().filter(|it| it.minor() == version.minor());
        let there: Vec<_> = match near().next() {
            Some(_) => near().map(ToString::to_string).collect(),
            None => versions.iter().map(ToString::to_string).collect(),
        };
        Err(Usage(format!(
            "there is no chart of Cilium {version} in {place}, which has {}",
            there.join(", ")
        )))
    }

    /// The form that a version comes in.
    pub(super) fn layout(&self, version: &Version) -> Layout {
        match self {
            Self::Folder { found, .. } => found.get(version).map_or(layout(version), |(_, layout)| *layout),
            Self::Repository { .. } => layout(version),
        }
    }

    /// The chart of a version: a folder, an archive or manifests.
    pub(super) async fn get(&self, version: &Version, helm: &Path) -> anyhow::Result<(PathBuf, Layout)> {
        match self {
            Self::Folder { found, .. } => {
                self.supports(version)?;
                Ok(found[version].clone())
            }
            Self::Repository { address, .. } => Ok((fetch(address, version, helm).await?, layout(version))),
        }
    }
}

/// Asks a chart repository which releases of Cilium it has; helm's own list of repositories is left alone.
async fn published(address: &str, helm: &Path) -> anyhow::Result<BTreeSet<Version>> {
    let own = Scratch::new("helm-")?;
    let at = |name: &str| own.path().join(name).display().to_string();
    let place =
        ["--repository-config".to_owned(), at("list.yaml"), "--repository-cache".to_owned(), at("cache")];
    let words = |words: &[&str]| -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).chain(place.clone()).collect()
    };
    let remedy = "--charts takes the address that `helm repo add` takes, or a folder";
    let cannot = |e: subject::ChartError| {
        Usage(format!("{address} is no chart repository that answers; {remedy}: {e}"))
    };
    subject::helm(helm, &words(&["repo", "add", "charts", address])).await.map_err(cannot)?;
    let search = words(&["search", "repo", "charts/cilium", "--versions", "--output", "json"]);
    let found = subject::helm(helm, &search).await.map_err(cannot)?;
    let found: Vec<About> = serde_json::from_str(&found)?;
    let versions: BTreeSet<Version> = found
        .iter()
        .filter(|about| about.name == "charts/cilium")
        .filter_map(|about| about.version.parse().ok())
        .collect();
    if versions.is_empty() {
        return Err(Usage(format!("{address} has no chart of Cilium; {remedy}")).into());
    }
    Ok(versions)
}

/// Fetches a chart into the cache, where it is found the next time.
async fn fetch(address: &str, version: &Version, helm: &Path) -> anyhow::Result<PathBuf> {
    let key: String = Sha256::digest(address).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = paths::cache().join("charts").join(key);
    let archive = folder.join(format!("cilium-{version}.tgz"));
    if !archive.exists() {
        std::fs::create_dir_all(&folder)?;
        // helm writes into place: what is broken off must not be taken for the chart.
        let partial = tempfile::tempdir_in(&folder)?;
        let (version, destination) = (version.to_string(), partial.path().display().to_string());
        let words =
            ["pull", "cilium", "--repo", address, "--version", &version, "--destination", &destination];
        subject::helm(helm, &words.map(str::to_owned)).await?;
        std::fs::rename(partial.path().join(format!("cilium-{version}.tgz")), &archive)?;
    }
    Ok(archive)
}

/// Tells what a file or folder is, by its name or by what its Chart.yaml says.
fn recognize(path: &Path) -> Option<(Version, (PathBuf, Layout))> {
    let name = path.file_name()?.to_str()?;
    if let Ok(text) = std::fs::read_to_string(path.join("Chart.yaml")) {
        let about: About = serde_saphyr::from_str(&text).ok()?;
        let version: Version = about.version.parse().ok().filter(|_| about.name == "cilium")?;
        let layout = layout(&version);
        return Some((version, (path.to_owned(), layout)));
    }
    let bare = |ending: &str| {
        let stem = name.strip_suffix(ending)?;
        stem.strip_prefix("cilium-").unwrap_or(stem).parse::<Version>().ok()
    };
    if let Some(version) = bare(".tgz") {
        let layout = layout(&version);
        return Some((version, (path.to_owned(), layout)));
    }
    let manifests = if path.is_dir() { bare("") } else { bare(".yaml").or_else(|| bare(".yml")) };
    Some((manifests?, (path.to_owned(), Layout::Manifests)))
}

fn layout(version: &Version) -> Layout {
    if version.minor() < WHOLE_FROM { Layout::Subcharts } else { Layout::Whole }
}

/// What is read of a Chart.yaml, and of what helm finds.
#[derive(Deserialize)]
struct About {
    name: String,
    version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn charts_are_recognized_in_every_form() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (chart, about) in
            [("one", "name: cilium\nversion: 1.7.1\n"), ("other", "name: tetragon\nversion: 1.1.0\n")]
        {
            std::fs::create_dir(at(chart)).unwrap();
            std::fs::write(at(chart).join("Chart.yaml"), about).unwrap();
        }
        std::fs::create_dir(at("v1.4.10")).unwrap();
        for file in ["cilium-1.9.18.tgz", "1.5.13.yaml", "README.md", "notes.yaml"] {
            std::fs::write(at(file), "").unwrap();
        }
        let Charts::Folder { found, .. } = Charts::open(folder.path().to_str().unwrap()).unwrap() else {
            panic!("it is a folder");
        };
        let found: Vec<_> =
            found.into_iter().map(|(version, (path, layout))| (version, path, layout)).collect();
        assert_eq!(
            found,
            [
                (version("1.4.10"), at("v1.4.10"), Layout::Manifests),
                (version("1.5.13"), at("1.5.13.yaml"), Layout::Manifests),
                (version("1.7.1"), at("one"), Layout::Subcharts),
                (version("1.9.18"), at("cilium-1.9.18.tgz"), Layout::Whole),
            ]
        );
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        let error = Charts::open(place).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("there is no chart of Cilium in {place}; put charts there")),
            "{error}"
        );
        std::fs::write(folder.path().join("1.5.13.yaml"), "").unwrap();
        let error = Charts::open(place).unwrap().supports(&version("1.6.12")).unwrap_err().to_string();
        assert_eq!(error, format!("there is no chart of Cilium 1.6.12 in {place}, which has 1.5.13"));
    }
}
