//! Cilium's charts and manifests: where they are, and of which versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cluster::{Component, Components};
use model::Version;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::division::{MANIFESTS, of_chart};
use crate::error::PrepareError;
use crate::input::InputError;
use crate::source::{ChartError, Division, helm};

/// Charts and manifests by version.
#[derive(Clone, Debug)]
pub(super) enum Charts {
    /// In a folder.
    Folder { folder: PathBuf, found: BTreeMap<Version, (PathBuf, Division)>, versions: BTreeSet<Version> },
    /// In a chart repository; fetched charts are kept in the cache.
    Repository { address: String, cache: PathBuf, versions: BTreeSet<Version> },
}

impl Charts {
    /// Reads the folder; the versions of a repository are loaded later.
    pub(super) fn open(place: &str, cache: &Path) -> Result<Self, InputError> {
        if place.starts_with("http://") || place.starts_with("https://") {
            let (address, cache) = (place.to_owned(), cache.join("charts"));
            return Ok(Self::Repository { address, cache, versions: BTreeSet::new() });
        }
        let folder = PathBuf::from(place);
        let cannot = |e: std::io::Error| InputError(format!("the charts in {place} cannot be read: {e}"));
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
            return Err(InputError(format!("there is no chart of Cilium in {place}; {remedy}")));
        }
        let versions = found.keys().cloned().collect();
        Ok(Self::Folder { folder, found, versions })
    }

    /// Requests the versions of a repository, which has none before.
    pub(super) async fn load_versions(&mut self, components: &Components) -> Result<(), PrepareError> {
        if let Self::Repository { address, cache, versions } = self {
            let helm = components.resolve(Component::Helm, &|_| {}).await?;
            *versions = published(address, cache, &helm).await?;
        }
        Ok(())
    }

    /// The available versions.
    pub(super) fn available(&self) -> &BTreeSet<Version> {
        match self {
            Self::Folder { versions, .. } | Self::Repository { versions, .. } => versions,
        }
    }

    /// Checks that a version is available.
    pub(super) fn supports(&self, version: &Version) -> Result<(), InputError> {
        let versions = self.available();
        if versions.contains(version) {
            return Ok(());
        }
        let place = match self {
            Self::Folder { folder, .. } => folder.display().to_string(),
            Self::Repository { address, .. } => address.clone(),
        };
        // A repository has hundreds: those of the same minor are enough.
        let near = || versions.iter().filter(|it| it.minor() == version.minor());
        let listed: Vec<_> = match near().next() {
            Some(_) => near().map(ToString::to_string).collect(),
            None => versions.iter().map(ToString::to_string).collect(),
        };
        Err(InputError(format!(
            "there is no chart of Cilium {version} in {place}, which has {}",
            listed.join(", ")
        )))
    }

    /// The division of a version.
    pub(super) fn division(&self, version: &Version) -> Division {
        match self {
            Self::Folder { found, .. } => {
                found.get(version).map_or(of_chart(version), |(_, division)| *division)
            }
            Self::Repository { .. } => of_chart(version),
        }
    }

    /// The chart of a version: a folder, an archive or manifests.
    pub(super) async fn get(
        &self,
        version: &Version,
        helm: &Path,
    ) -> Result<(PathBuf, Division), PrepareError> {
        match self {
            Self::Folder { found, .. } => {
                self.supports(version)?;
                Ok(found[version].clone())
            }
            Self::Repository { address, cache, .. } => {
                Ok((fetch(address, cache, version, helm).await?, of_chart(version)))
            }
        }
    }
}

/// Requests the versions of Cilium in a chart repository; helm's own list of repositories is left alone.
async fn published(address: &str, cache: &Path, program: &Path) -> Result<BTreeSet<Version>, PrepareError> {
    let own = folder_in(cache)?;
    let own_path = |name: &str| own.path().join(name).display().to_string();
    let own_files = [
        "--repository-config".to_owned(),
        own_path("list.yaml"),
        "--repository-cache".to_owned(),
        own_path("cache"),
    ];
    let words = |words: &[&str]| -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).chain(own_files.clone()).collect()
    };
    let remedy = "--charts takes the address that `helm repo add` takes, or a folder";
    let cannot =
        |e: ChartError| InputError(format!("the chart repository {address} does not answer; {remedy}: {e}"));
    helm(program, &words(&["repo", "add", "charts", address])).await.map_err(cannot)?;
    let search = words(&["search", "repo", "charts/cilium", "--versions", "--output", "json"]);
    let found = helm(program, &search).await.map_err(cannot)?;
    let found: Vec<About> = serde_json::from_str(&found).map_err(|e| {
        PrepareError::Incomplete(format!("the answer of `helm search repo` cannot be read: {e}"))
    })?;
    let versions: BTreeSet<Version> = found
        .iter()
        .filter(|about| about.name == "charts/cilium")
        .filter_map(|about| about.version.parse().ok())
        .collect();
    if versions.is_empty() {
        return Err(InputError(format!("{address} has no chart of Cilium; {remedy}")).into());
    }
    Ok(versions)
}

/// Fetches a chart into the cache, unless it is there.
async fn fetch(
    address: &str,
    cache: &Path,
    version: &Version,
    program: &Path,
) -> Result<PathBuf, PrepareError> {
    let key: String = Sha256::digest(address).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = cache.join(key);
    let archive = folder.join(format!("cilium-{version}.tgz"));
    if !archive.exists() {
        // helm writes into place: an incomplete file must not be used as the chart.
        let partial = folder_in(&folder)?;
        let (version, destination) = (version.to_string(), partial.path().display().to_string());
        let words =
            ["pull", "cilium", "--repo", address, "--version", &version, "--destination", &destination];
        helm(program, &words.map(str::to_owned)).await?;
        let fetched = partial.path().join(format!("cilium-{version}.tgz"));
        let failed = PrepareError::file(format!("{} cannot be written", archive.display()));
        std::fs::rename(fetched, &archive).map_err(failed)?;
    }
    Ok(archive)
}

/// A temporary folder in another one, which is made if needed.
fn folder_in(parent: &Path) -> Result<tempfile::TempDir, PrepareError> {
    let made = std::fs::create_dir_all(parent).and_then(|()| tempfile::tempdir_in(parent));
    made.map_err(PrepareError::file(format!("no folder can be made in {}", parent.display())))
}

/// Recognizes a chart or manifests by its name or by its Chart.yaml.
fn recognize(path: &Path) -> Option<(Version, (PathBuf, Division))> {
    let name = path.file_name()?.to_str()?;
    if let Ok(text) = std::fs::read_to_string(path.join("Chart.yaml")) {
        let about: About = serde_saphyr::from_str(&text).ok()?;
        let version: Version = about.version.parse().ok().filter(|_| about.name == "cilium")?;
        let division = of_chart(&version);
        return Some((version, (path.to_owned(), division)));
    }
    let bare = |ending: &str| {
        let stem = name.strip_suffix(ending)?;
        stem.strip_prefix("cilium-").unwrap_or(stem).parse::<Version>().ok()
    };
    if let Some(version) = bare(".tgz") {
        let division = of_chart(&version);
        return Some((version, (path.to_owned(), division)));
    }
    let manifests = if path.is_dir() { bare("") } else { bare(".yaml").or_else(|| bare(".yml")) };
    Some((manifests?, (path.to_owned(), MANIFESTS)))
}

/// Name and version, in a Chart.yaml and in what helm finds.
#[derive(Deserialize)]
struct About {
    name: String,
    version: String,
}

#[cfg(test)]
mod tests {
    use super::super::division::{SINGLE, SUBCHARTS};
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
        let Charts::Folder { found, .. } =
            Charts::open(folder.path().to_str().unwrap(), Path::new("")).unwrap()
        else {
            panic!("it is a folder");
        };
        let found: Vec<_> =
            found.into_iter().map(|(version, (path, division))| (version, path, division)).collect();
        assert_eq!(
            found,
            [
                (version("1.4.10"), at("v1.4.10"), MANIFESTS),
                (version("1.5.13"), at("1.5.13.yaml"), MANIFESTS),
                (version("1.7.1"), at("one"), SUBCHARTS),
                (version("1.9.18"), at("cilium-1.9.18.tgz"), SINGLE),
            ]
        );
    }

    #[test]
    fn a_missing_version_is_named_with_the_available_ones() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        let error = Charts::open(place, Path::new("")).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("there is no chart of Cilium in {place}; put charts there")),
            "{error}"
        );
        std::fs::write(folder.path().join("1.5.13.yaml"), "").unwrap();
        let error =
            Charts::open(place, Path::new("")).unwrap().supports(&version("1.6.12")).unwrap_err().to_string();
        assert_eq!(error, format!("there is no chart of Cilium 1.6.12 in {place}, which has 1.5.13"));
    }
}
