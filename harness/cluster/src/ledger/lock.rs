//! The lock of a ledger entry: its holder keeps the cluster alive.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// Why a lock could not be taken.
pub(super) enum Refused {
    /// Another process holds it.
    Locked,
    /// There is no lock.
    Gone,
    /// It cannot be used.
    Failed(std::io::Error),
}

/// Takes the lock of the cluster with this folder.
pub(super) fn take(folder: &Path) -> Result<File, Refused> {
    let file = match File::open(folder.join("lock")) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(Refused::Gone),
        Err(e) => return Err(Refused::Failed(e)),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Refused::Locked),
        Err(TryLockError::Error(e)) => Err(Refused::Failed(e)),
    }
}
