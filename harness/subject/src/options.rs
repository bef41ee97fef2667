//! The options that choose and configure a subject.

use std::path::PathBuf;

use crate::input::InputError;

/// Options of a subject, as a person wrote them.
#[derive(Clone, Debug, Default)]
pub struct SubjectOptions {
    /// The name of the subject, if one was given.
    pub subject: Option<String>,
    /// Address of a chart repository, or folder of charts and manifests.
    pub charts: Option<String>,
    /// A subject file.
    pub file: Option<PathBuf>,
    /// Files of Helm values, each with minors before it or not, as in `1.7-1.8:FILE`.
    pub values: Vec<String>,
    /// Helm values, each with minors before it or not, as in `1.7-1.8:KEY=VALUE`.
    pub set: Vec<String>,
    /// Manifests that are applied before the first version is installed.
    pub prerequisites: Vec<PathBuf>,
    /// Archives of images.
    pub images: Vec<PathBuf>,
    /// Whether images of the stand-in replace those of the charts.
    pub shim: bool,
    /// Folder in which fetched charts are kept.
    pub cache: PathBuf,
}

impl SubjectOptions {
    /// The archives of images, as absolute paths.
    pub(crate) fn archives(&self) -> Result<Vec<PathBuf>, InputError> {
        let archive = |path: &PathBuf| {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            if absolute.is_file() {
                return Ok(absolute);
            }
            Err(InputError(format!("the images {} cannot be loaded: it is not a file", path.display())))
        };
        self.images.iter().map(archive).collect()
    }
}
