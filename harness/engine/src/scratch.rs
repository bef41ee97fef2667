//! Temporary folders of commands.
//!
//! Each is locked as long as its command lives, however that ends. One that can be locked was left by a killed command;
//! `gc` removes it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::paths;

/// A temporary folder, removed with this value.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Creates a folder whose name starts with `prefix`.
    ///
    /// # Errors
    /// When it cannot be created below the state folder.
    pub fn new(prefix: &str) -> anyhow::Result<Self> {
        Self::within(&place(), prefix)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn within(place: &Path, prefix: &str) -> anyhow::Result<Self> {
        let unusable = || {
            format!(
                "no folder can be made in {}; set SEATRIAL_STATE to one that can be used",
                place.display()
            )
        };
        let make = || -> std::io::Result<Option<Self>> {
            DirBuilder::new().mode(0o700).recursive(true).create(place)?;
            let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(place)?;
            // A `gc` may be quicker than the lock.
            let Ok(lock) = File::open(folder.path()) else { return Ok(None) };
            lock.lock()?;
            Ok(folder.path().exists().then_some(Self { folder, _lock: lock }))
        };
        loop {
            if let Some(made) = make().with_context(unusable)? {
                return Ok(made);
            }
        }
    }
}

fn place() -> PathBuf {
    paths::state().join("scratch")
}

/// Removes the folders of killed commands, and returns their number.
///
/// # Errors
/// When one cannot be removed.
pub fn collect() -> anyhow::Result<usize> {
    collect_in(&place())
}

fn collect_in(place: &Path) -> anyhow::Result<usize> {
    let listing = match std::fs::read_dir(place) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
        listing => listing.with_context(|| format!("{} cannot be read", place.display()))?,
    };
    let mut removed = 0;
    for folder in listing {
        let folder = folder?.path();
        let remove = || -> std::io::Result<bool> {
            let lock = File::open(&folder)?;
            match lock.try_lock() {
                Ok(()) => std::fs::remove_dir_all(&folder).map(|()| true),
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(e)) => Err(e),
            }
        };
        match remove() {
            Ok(gone) => removed += usize::from(gone),
            // Its command has removed it meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("{} cannot be removed", folder.display())),
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_command_left_is_collected_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let place = state.path().join("scratch");
        assert_eq!(collect_in(&place).unwrap(), 0, "nothing was made yet");
        let lives = Scratch::within(&place, "logs-").unwrap();
        std::fs::write(lives.path().join("file"), "kept").unwrap();
        std::fs::create_dir_all(place.join("left/below")).unwrap();
        assert_eq!(collect_in(&place).unwrap(), 1);
        assert!(lives.path().join("file").exists() && !place.join("left").exists());
        drop(lives);
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
    }
}
