//! Mounts and small files, with errors that name the path.

use std::fmt::Display;
use std::io;
use std::path::Path;

use nix::mount::MsFlags;

/// Adds to an error what failed.
pub(super) fn about<E: Into<io::Error>>(what: impl Display) -> impl FnOnce(E) -> io::Error {
    move |e| {
        let e = e.into();
        io::Error::new(e.kind(), format!("{what}: {e}"))
    }
}

/// Mounts a new file system of `kind` at `target`.
pub(super) fn file_system(kind: &str, target: &Path, data: &str) -> io::Result<()> {
    let data = (!data.is_empty()).then_some(data);
    nix::mount::mount(Some(kind), target, Some(kind), MsFlags::empty(), data)
        .map_err(about(format!("mounting {kind} at {} with {data:?}", target.display())))
}

/// Binds `source` to `target`.
pub(super) fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let none: Option<&str> = None;
    nix::mount::mount(Some(source), target, none, MsFlags::MS_BIND, none).map_err(about(format!(
        "binding {} to {}",
        source.display(),
        target.display()
    )))
}

/// Changes how mounts and unmounts of the whole tree propagate to other mount namespaces.
pub(super) fn propagation(flag: MsFlags) -> io::Result<()> {
    let none: Option<&str> = None;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | flag, none)
        .map_err(about(format!("setting the mount propagation {flag:?}")))
}

/// Creates a folder and its parents.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path).map_err(about(format!("creating {}", path.display())))
}

/// Writes a small file.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text).map_err(about(format!("writing `{text}` to {}", path.display())))
}
