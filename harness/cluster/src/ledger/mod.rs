//! The ledger: which clusters exist. Each has a folder, written before anything else of the cluster exists, and removed last.
//!
//! A process holds the lock of an entry as long as it uses the cluster, and a sandbox that outlives its command holds it
//! itself. The kernel drops the lock when the last holder ends, however it ends. Whether a cluster can be alive without a
//! holder, only its provider knows.
//!
//! A lock on the folder of all clusters protects the creation, removal and listing of entries. Without it, an entry that is
//! being created or removed could be listed without its own lock, as if its process had ended.

mod entry;
mod lock;

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::entry::Entry;
use self::lock::{LOCK, Refused, lock_folder, take};
use crate::private_file::{sync_folder, write_durably};
use crate::wait::{self, Timeout};

/// The file of an entry, in the folder of its cluster.
const ENTRY: &str = "ledger.json";

/// Something in the ledger could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be {verb}{}", path.display(), remedy(source.kind()))]
pub struct LedgerError {
    path: PathBuf,
    verb: &'static str,
    #[source]
    source: std::io::Error,
}

/// Damaged and newer entries are no reason to use another folder.
fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidData => {
            "; it is damaged, or of a newer seatrial: use that one, or remove its cluster by hand"
        }
        ErrorKind::TimedOut => "; look for a stopped seatrial process, and continue or end it",
        _ => "; set SEATRIAL_STATE to a usable folder",
    }
}

fn failed(path: &Path, verb: &'static str) -> impl FnOnce(std::io::Error) -> LedgerError {
    move |source| LedgerError { path: path.to_owned(), verb, source }
}

/// The folder of all clusters.
#[derive(Clone, Debug)]
pub struct Ledger {
    folder: PathBuf,
}

/// An entry, and whether a process holds its lock.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The entry.
    pub entry: Entry,
    /// Whether a process holds its lock.
    pub locked: bool,
}

/// All entries of the ledger.
#[derive(Debug, Default)]
pub struct Listing {
    /// The readable entries, oldest first.
    pub entries: Vec<Listed>,
    /// Why the others cannot be read.
    pub unreadable: Vec<LedgerError>,
}

impl Ledger {
    /// The ledger in a state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("clusters") }
    }

    /// Enters a new cluster and takes its lock.
    ///
    /// # Errors
    /// When the folder cannot be written or the id is taken.
    pub fn enter(&self, entry: &Entry) -> Result<Held, LedgerError> {
        let folder = self.folder.join(&entry.id);
        let private = |recursive| {
            let mut builder = DirBuilder::new();
            builder.mode(0o700).recursive(recursive);
            builder
        };
        private(true).create(&self.folder).map_err(failed(&self.folder, "created"))?;
        let _folder_lock = lock_folder(&self.folder).map_err(failed(&self.folder, "locked"))?;
        private(false).create(&folder).map_err(failed(&folder, "created"))?;
        let path = folder.join(LOCK);
        let file = File::create(&path).map_err(failed(&path, "created"))?;
        file.try_lock().map_err(|e| failed(&path, "locked")(e.into()))?;
        let held = Held { folder, lock: file };
        held.write(entry)?;
        sync_folder(&self.folder).map_err(failed(&self.folder, "written"))?;
        Ok(held)
    }

    /// All entries. One that cannot be read does not hide the others.
    ///
    /// # Errors
    /// When the folder of the ledger cannot be read.
    pub fn list(&self) -> Result<Listing, LedgerError> {
        let mut listing = Listing::default();
        let _folder_lock = match lock_folder(&self.folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(listing),
            locked => locked.map_err(failed(&self.folder, "locked"))?,
        };
        for id in self.ids()? {
            let folder = self.folder(&id);
            // The lock first: the owner writes the entry while it holds the lock.
            let locked = matches!(take(&folder), Err(Refused::Locked));
            match read(&folder) {
                Ok(entry) => listing.entries.push(Listed { entry, locked }),
                Err(e) => listing.unreadable.push(e),
            }
        }
        let order = |listed: &Listed| (listed.entry.created.clone(), listed.entry.id.clone());
        listing.entries.sort_by_key(order);
        Ok(listing)
    }

    /// The ids of all clusters, also of those whose entries cannot be read.
    ///
    /// # Errors
    /// When the folder of the ledger cannot be read.
    pub fn ids(&self) -> Result<Vec<String>, LedgerError> {
        let listing = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed(&self.folder, "read"))?,
        };
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        listing.map(name).collect::<Result<_, _>>().map_err(failed(&self.folder, "read"))
    }

    /// The entry of a cluster; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn entry(&self, id: &str) -> Result<Option<Entry>, LedgerError> {
        let folder = self.folder(id);
        if folder.exists() { read(&folder).map(Some) } else { Ok(None) }
    }

    /// The folder of a cluster.
    #[must_use]
    pub fn folder(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    /// Takes the lock of an entry that no process holds; `None` when one does, or there is no such entry.
    ///
    /// # Errors
    /// When the lock cannot be used.
    pub fn take_unlocked(&self, id: &str) -> Result<Option<Held>, LedgerError> {
        let folder = self.folder(id);
        match take(&folder) {
            Ok(lock) => Ok(Some(Held { folder, lock })),
            Err(Refused::Locked | Refused::Gone) => Ok(None),
            Err(Refused::Failed(source)) => Err(failed(&folder, "locked")(source)),
        }
    }

    /// Waits until no process holds the lock of an entry, and takes it; `None` when there is no such entry.
    ///
    /// # Errors
    /// When a process still holds the lock after the deadline, or the lock cannot be used.
    pub async fn wait_unlocked(&self, id: &str, deadline: Duration) -> Result<Option<Held>, Timeout> {
        let probe = async || match self.take_unlocked(id) {
            Ok(Some(held)) => Ok(Some(held)),
            Ok(None) if !self.folder(id).exists() => Ok(None),
            Ok(None) => Err("a process holds its lock".to_owned()),
            Err(e) => Err(e.to_string()),
        };
        wait::until(&format!("cluster {id} to end"), deadline, Duration::from_millis(10), probe).await
    }

    /// Marks a kept cluster as no longer kept, unless a process holds its lock.
    ///
    /// # Errors
    /// When its entry cannot be written.
    pub fn abandon(&self, entry: &Entry) -> Result<(), LedgerError> {
        match self.take_unlocked(&entry.id)? {
            Some(held) => held.write(&Entry { kept: false, ..entry.clone() }),
            None => Ok(()),
        }
    }

    /// Removes the folder of a cluster whose owner ended before it wrote the entry.
    ///
    /// # Errors
    /// When a process holds its lock, or it cannot be removed.
    pub fn remove_unwritten(&self, id: &str) -> Result<(), LedgerError> {
        let folder = self.folder(id);
        match take(&folder) {
            Ok(lock) => Held { folder, lock }.remove(),
            // An empty folder; anything else in it is not ours.
            Err(Refused::Gone) => std::fs::remove_dir(&folder).map_err(failed(&folder, "removed")),
            Err(Refused::Locked) => Err(failed(&folder, "locked")(ErrorKind::WouldBlock.into())),
            Err(Refused::Failed(source)) => Err(failed(&folder, "locked")(source)),
        }
    }
}

fn read(folder: &Path) -> Result<Entry, LedgerError> {
    let path = folder.join(ENTRY);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| failed(&path, "parsed")(std::io::Error::new(ErrorKind::InvalidData, e))),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Entry::unwritten(folder)),
        Err(e) => Err(failed(&path, "read")(e)),
    }
}

/// A ledger entry whose lock this process holds.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    lock: File,
}

impl Held {
    /// The folder of the cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A copy of the lock for a process that must hold it too.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub fn share_lock(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        Ok(self.lock.try_clone()?.into())
    }

    /// Replaces the entry atomically; it survives a crash of the machine.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, entry: &Entry) -> Result<(), LedgerError> {
        let path = self.folder.join(ENTRY);
        let text = serde_json::to_vec_pretty(entry).map_err(|e| failed(&path, "written")(e.into()))?;
        write_durably(&path, &text).map_err(failed(&path, "written"))
    }

    /// Reads the entry again.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Entry, LedgerError> {
        read(&self.folder)
    }

    /// Removes the folder, and the entry and its lock last: the last step of removing a cluster. What lies in the folder
    /// can take seconds to remove, and the entry stays locked until then.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn remove(self) -> Result<(), LedgerError> {
        self.empty().map_err(failed(&self.folder, "emptied"))?;
        let clusters = self.folder.parent().unwrap_or(&self.folder);
        let _folder_lock = lock_folder(clusters).map_err(failed(clusters, "locked"))?;
        std::fs::remove_dir_all(&self.folder).map_err(failed(&self.folder, "removed"))
    }

    /// Removes all but the entry and its lock.
    fn empty(&self) -> std::io::Result<()> {
        for item in std::fs::read_dir(&self.folder)? {
            let item = item?;
            match item.file_name().to_str() {
                Some(ENTRY | LOCK) => {}
                _ if item.file_type()?.is_dir() => std::fs::remove_dir_all(item.path())?,
                _ => std::fs::remove_file(item.path())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
