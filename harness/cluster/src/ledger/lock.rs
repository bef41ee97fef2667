//! The lock of a ledger entry: its holder keeps the cluster alive. And the lock of the folder of all entries, which is held
//! for a few file operations.

use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

/// The file that is locked, in the folder of a cluster.
pub(super) const LOCK: &str = "lock";

/// After this time the holder of the folder's lock is stopped or stuck.
const FOLDER_DEADLINE: Duration = Duration::from_secs(10);

/// Why a lock could not be taken.
pub(super) enum Refused {
    /// Another process holds it.
    Locked,
    /// There is no lock.
    Gone,
    /// It cannot be used.
    Failed(Error),
}

/// Takes the lock of the cluster with this folder.
pub(super) fn take(folder: &Path) -> Result<File, Refused> {
    let file = match File::open(folder.join(LOCK)) {
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

/// Takes the lock of the folder of all entries, and waits for whoever holds it.
#[expect(
    clippy::disallowed_methods,
    reason = "between two attempts; entries are listed without a runtime, too"
)]
pub(super) fn lock_folder(folder: &Path) -> Result<File, Error> {
    let file = File::open(folder)?;
    let deadline = Instant::now() + FOLDER_DEADLINE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                return Err(Error::new(ErrorKind::TimedOut, "its lock is held by another process"));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
