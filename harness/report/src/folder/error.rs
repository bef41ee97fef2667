//! Why a run folder could not be read or written.

use std::io;
use std::path::{Path, PathBuf};

/// Why the run folder could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system refused.
    #[error("cannot {doing} {}: {}", path.display(), remedy(source, path))]
    Io {
        /// What was attempted: `create`, `write`, `read`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The folder holds no record of a run.
    #[error("{} holds no run.json: name the folder of one run, such as runs/<id>", .0.display())]
    NotARun(PathBuf),
    /// A part of a run folder is a symbolic link, a device or anything else that no run writes.
    #[error("{} is no regular file or folder: run folders are read without following links; remove it", .0.display())]
    NotRegular(PathBuf),
    /// A file is larger than any that a run writes.
    #[error("{} is larger than {} MB, the limit for such a file", path.display(), limit >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, bytes.
        limit: u64,
    },
    /// A folder holds more files than any run writes.
    #[error("{} holds more than {limit} files, the limit for a run folder", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A record is not readable as one of this version.
    #[error("{} is not a {schema} record: read it with the seatrial that wrote it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The expected schema.
        schema: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A report could not be made from the record.
    #[error("cannot make {} from the record: this is a defect of seatrial, please report it", path.display())]
    Render {
        /// The missing report.
        path: PathBuf,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl FolderError {
    /// Whether a file or folder does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

pub(crate) fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |source| FolderError::Io { doing, path: path.to_owned(), source }
}

pub(crate) fn render_error<E>(path: &Path) -> impl FnOnce(E) -> FolderError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| FolderError::Render { path: path.to_owned(), source: Box::new(source) }
}

fn remedy(error: &io::Error, path: &Path) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => {
            "the disk is full; free some space, or choose another --out"
        }
        Kind::PermissionDenied => "permission denied; run as the user that owns it, or choose another --out",
        Kind::ReadOnlyFilesystem => "the file system is read-only; choose another --out",
        Kind::AlreadyExists => "it exists already; remove it, or choose another --out",
        Kind::NotADirectory => "a part of the path is a file; choose another --out",
        Kind::NotFound if path.parent().is_some_and(|parent| !parent.exists()) => {
            "its folder does not exist; do not remove a run folder during the run"
        }
        _ => "check the path and its file system, or choose another --out",
    }
}
