//! The manifests or the chart of one version.

use std::path::{Path, PathBuf};

use kube::api::DynamicObject;
use serde_json::Value;

use super::text::{Mapping, ValuesText, VersionSource};
use crate::error::{PrepareError, line};
use crate::names::Names;
use crate::source::{find, image_of, manifests, values};

/// Where the objects of a version come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A file or a folder of manifests.
    Manifests(PathBuf),
    /// A chart and its values.
    Chart(PathBuf, ChartValues),
}

/// Values of a chart.
#[derive(Clone, Debug)]
pub(super) enum ChartValues {
    /// Files; later ones override earlier ones.
    Files(Vec<PathBuf>),
    /// The values.
    Inline(Value),
}

impl Source {
    /// Reads what the file names, as far as that takes no helm; the error has no place.
    pub(super) fn open(written: &VersionSource, folder: &Path, names: &Names) -> Result<Self, String> {
        match written {
            VersionSource::Path(path) => Self::open_manifests(&folder.join(path), names),
            VersionSource::Mapping(Mapping { manifests: Some(path), chart: None, values: None }) => {
                Self::open_manifests(&folder.join(path), names)
            }
            VersionSource::Mapping(Mapping { manifests: None, chart: Some(path), values }) => {
                Self::open_chart(&folder.join(path), values.as_ref(), folder)
            }
            VersionSource::Mapping(Mapping { chart: None, values: Some(_), .. }) => {
                Err("only a chart has values: manifests are installed as they are".to_owned())
            }
            VersionSource::Mapping(_) => Err("a version has either `manifests` or a `chart`".to_owned()),
        }
    }

    fn open_manifests(path: &Path, names: &Names) -> Result<Self, String> {
        let objects = manifests(path).map_err(|e| line(&e))?;
        check(&objects, names).map_err(|why| format!("{} {why}", path.display()))?;
        Ok(Self::Manifests(path.to_owned()))
    }

    fn open_chart(path: &Path, written: Option<&ValuesText>, folder: &Path) -> Result<Self, String> {
        let archive = path.is_file() && path.extension().is_some_and(|ending| ending == "tgz");
        if !archive && !path.join("Chart.yaml").is_file() {
            return Err(format!(
                "{} is not a chart: name a folder with a Chart.yaml, or a .tgz",
                path.display()
            ));
        }
        let values = match written {
            None => ChartValues::Files(Vec::new()),
            Some(ValuesText::File(file)) => ChartValues::Files(vec![folder.join(file)]),
            Some(ValuesText::Files(files)) => {
                ChartValues::Files(files.iter().map(|file| folder.join(file)).collect())
            }
            Some(ValuesText::Inline(values)) => ChartValues::Inline(values.clone().into_iter().collect()),
        };
        if let ChartValues::Files(files) = &values {
            values::merged(files, &[]).map_err(|e| e.to_string())?;
        }
        Ok(Self::Chart(path.to_owned(), values))
    }

    /// Files of values; inline ones are written into `scratch`.
    pub(super) fn values_files(&self, name: &str, scratch: &Path) -> Result<Vec<PathBuf>, PrepareError> {
        match self {
            Self::Manifests(_) => Ok(Vec::new()),
            Self::Chart(_, ChartValues::Files(files)) => Ok(files.clone()),
            Self::Chart(_, ChartValues::Inline(values)) => {
                let file = scratch.join(format!("{name}-values.yaml"));
                let failed = PrepareError::file(format!("{} cannot be written", file.display()));
                std::fs::write(&file, values.to_string()).map_err(failed)?;
                Ok(vec![file])
            }
        }
    }
}

/// Checks that objects include those that the file names.
pub(super) fn check(objects: &[DynamicObject], names: &Names) -> Result<(), String> {
    let Names { namespace, daemon_set, container, config_map, .. } = names;
    let has = |kind: &str, name: &str| {
        find(objects, kind, name)
            .is_some_and(|found| found.metadata.namespace.as_ref().is_none_or(|own| own == namespace))
    };
    if !has("DaemonSet", daemon_set) {
        return Err(format!("has no DaemonSet {daemon_set} in namespace {namespace}"));
    }
    if image_of(objects, names).is_none() {
        return Err(format!("has no container {container} with an image in DaemonSet {daemon_set}"));
    }
    match config_map {
        Some(name) if !has("ConfigMap", name) => {
            Err(format!("has no ConfigMap {name} in namespace {namespace}"))
        }
        _ => Ok(()),
    }
}
