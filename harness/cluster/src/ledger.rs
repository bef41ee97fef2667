//! What was created: one folder a cluster, written before anything else exists, removed last.
//!
//! A cluster is alive exactly while somebody holds its lock: the process that runs it, or the sandbox itself once it
//! was told to outlive that process. The kernel drops the lock when the last holder ends, however it ends.
//! Only a kind cluster that shall be kept has nobody to hold it: its entry says so, until it is taken down.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::existing::{self, Access};
use crate::wait::{self, Timeout};

/// Something about the ledger failed.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be {verb}; set SEATRIAL_STATE to a folder that can be used", path.display())]
pub struct LedgerError {
    path: PathBuf,
    verb: &'static str,
    #[source]
    source: std::io::Error,
}

fn failed(path: &Path, verb: &'static str) -> impl FnOnce(std::io::Error) -> LedgerError {
    move |source| LedgerError { path: path.to_owned(), verb, source }
}

/// What the ledger says of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Cluster id.
    pub id: String,
    /// When it was created, RFC 3339, UTC.
    pub created: String,
    /// `sandbox`, `kind` or `existing`.
    pub provider: String,
    /// Number of nodes.
    pub nodes: u32,
    /// Process that made it.
    pub owner: u32,
    /// The process on the host under which everything of it runs; 0 until it was started.
    pub root: u32,
    /// The one cgroup under which everything of it runs, relative to each hierarchy's root; of a sandbox only.
    pub cgroup: String,
    /// Address of the API on the host; empty until it was opened.
    pub api: String,
    /// Whether it outlives its owner; of a kind cluster, whether it does so now.
    pub kept: bool,
    /// How to reach a cluster that was there before, and what was made in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
}

/// The folder of all clusters.
#[derive(Clone, Debug)]
pub struct Ledger {
    folder: PathBuf,
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
        private(false).create(&folder).map_err(failed(&folder, "created"))?;
        let path = folder.join("lock");
        let file = File::create(&path).map_err(failed(&path, "created"))?;
        file.try_lock().map_err(|e| failed(&path, "locked")(e.into()))?;
        let held = Held { folder, lock: file };
        held.write(entry)?;
        Ok(held)
    }

    /// All clusters, oldest first, with whether they are alive.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<(Entry, bool)>, LedgerError> {
        let listing = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed(&self.folder, "read"))?,
        };
        let mut found = Vec::new();
        for folder in listing {
            let folder = folder.map_err(failed(&self.folder, "read"))?.path();
            let alive = matches!(take(&folder), Err(Taken::Alive));
            let entry = read(&folder)?;
            let alive = alive || entry.is_kept_without_holder();
            found.push((entry, alive));
        }
        found.sort_by(|(a, _), (b, _)| a.created.cmp(&b.created).then_with(|| a.id.cmp(&b.id)));
        Ok(found)
    }

    /// The folder of a cluster.
    #[must_use]
    pub fn folder(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    /// Takes over a dead cluster's entry, so that it can be removed; `None` while it is alive or when it is gone.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn take_dead(&self, id: &str) -> Result<Option<Held>, LedgerError> {
        let folder = self.folder(id);
        match take(&folder) {
            Ok(_) if read(&folder)?.is_kept_without_holder() => Ok(None),
            Ok(lock) => Ok(Some(Held { folder, lock })),
            Err(Taken::Alive | Taken::Gone) => Ok(None),
            Err(Taken::Failed(source)) => Err(failed(&folder, "locked")(source)),
        }
    }

    /// Waits until a cluster is dead, and takes it for removal; `None` when it is gone.
    ///
    /// # Errors
    /// When somebody holds it after the deadline, or the ledger cannot be read.
    pub(crate) async fn wait_dead(&self, id: &str, deadline: Duration) -> Result<Option<Held>, Timeout> {
        let probe = async || match self.take_dead(id) {
            Ok(Some(held)) => Ok(Some(held)),
            Ok(None) if !self.folder(id).exists() => Ok(None),
            Ok(None) => Err("somebody holds its lock".to_owned()),
            Err(e) => Err(e.to_string()),
        };
        wait::until(&format!("cluster {id} to end"), deadline, Duration::from_millis(10), probe).await
    }

    /// Makes a cluster that is kept a dead one; one that somebody holds stays what it is.
    ///
    /// # Errors
    /// When its entry cannot be written.
    pub fn abandon(&self, entry: &Entry) -> Result<(), LedgerError> {
        let folder = self.folder(&entry.id);
        match take(&folder) {
            Ok(lock) => Held { folder, lock }.write(&Entry { kept: false, ..entry.clone() }),
            Err(Taken::Alive | Taken::Gone) => Ok(()),
            Err(Taken::Failed(source)) => Err(failed(&folder, "locked")(source)),
        }
    }
}

enum Taken {
    Alive,
    Gone,
    Failed(std::io::Error),
}

fn take(folder: &Path) -> Result<File, Taken> {
    let file = match File::open(folder.join("lock")) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(Taken::Gone),
        Err(e) => return Err(Taken::Failed(e)),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Taken::Alive),
        Err(TryLockError::Error(e)) => Err(Taken::Failed(e)),
    }
}

fn read(folder: &Path) -> Result<Entry, LedgerError> {
    let path = folder.join("ledger.json");
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| failed(&path, "parsed")(e.into())),
        // The owner ended between making the folder and writing the entry: nothing else exists yet.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Entry::unwritten(folder)),
        Err(e) => Err(failed(&path, "read")(e)),
    }
}

impl Entry {
    /// A new entry for a kind cluster of this process.
    #[must_use]
    pub(crate) fn kind(id: &str, nodes: u32) -> Self {
        Self {
            id: id.to_owned(),
            created: jiff::Timestamp::now().to_string(),
            provider: crate::kind::PROVIDER.to_owned(),
            nodes,
            owner: std::process::id(),
            root: 0,
            cgroup: String::new(),
            api: String::new(),
            kept: false,
            access: None,
        }
    }

    /// A new entry for what this process makes in a cluster that is not ours.
    #[must_use]
    pub(crate) fn existing(id: &str, nodes: u32, access: Access) -> Self {
        Self { provider: existing::PROVIDER.to_owned(), access: Some(access), ..Self::kind(id, nodes) }
    }

    fn is_kept_without_holder(&self) -> bool {
        self.kept && self.provider == crate::kind::PROVIDER
    }

    fn unwritten(folder: &Path) -> Self {
        let id = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            cgroup: cgroup_name(&id),
            id,
            created: String::new(),
            provider: "sandbox".to_owned(),
            nodes: 0,
            owner: 0,
            root: 0,
            api: String::new(),
            kept: false,
            access: None,
        }
    }
}

/// The name of a cluster's cgroup.
#[must_use]
pub fn cgroup_name(id: &str) -> String {
    format!("seatrial-{id}")
}

/// A ledger entry whose lock this process holds.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    lock: File,
}

impl Held {
    /// The cluster's own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The lock, to be handed to a process that shall hold it as well.
    ///
    /// # Errors
    /// When no further file descriptor can be had.
    pub fn share_lock(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        Ok(self.lock.try_clone()?.into())
    }

    /// Replaces the entry, atomically.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, entry: &Entry) -> Result<(), LedgerError> {
        let path = self.folder.join("ledger.json");
        let text = serde_json::to_vec_pretty(entry).map_err(|e| failed(&path, "written")(e.into()))?;
        write_private(&path, &text).map_err(failed(&path, "written"))
    }

    /// Reads the entry again.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Entry, LedgerError> {
        read(&self.folder)
    }

    /// Removes the entry and its folder: the last thing done to a cluster.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn remove(self) -> Result<(), LedgerError> {
        std::fs::remove_dir_all(&self.folder).map_err(failed(&self.folder, "removed"))
    }
}

/// Writes a file that only its owner may read, atomically.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        Entry { created: "2026-01-01T00:00:00Z".to_owned(), owner: 1, ..Entry::unwritten(Path::new(id)) }
    }

    /// A process that another test is starting holds copies of all locks for a moment.
    const MOMENT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn cluster_is_alive_while_its_lock_is_held_and_can_be_taken_after() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(state.path());
        let held = ledger.enter(&entry("one")).unwrap();
        let shared = held.share_lock().unwrap();
        assert!(ledger.list().unwrap()[0].1, "alive while the owner lives");
        assert!(ledger.take_dead("one").unwrap().is_none());
        drop(held);
        assert!(ledger.list().unwrap()[0].1, "alive while the sandbox holds its copy");
        drop(shared);
        let dead = ledger.wait_dead("one", MOMENT).await.expect("dead when nobody holds the lock");
        dead.unwrap().remove().unwrap();
        assert!(ledger.list().unwrap().is_empty());
    }

    #[tokio::test]
    async fn kept_kind_cluster_is_alive_without_a_holder_until_it_is_abandoned() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(state.path());
        let held = ledger.enter(&Entry::kind("one", 2)).unwrap();
        let kept = Entry { kept: true, ..held.read().unwrap() };
        held.write(&kept).unwrap();
        drop(held);
        assert!(ledger.list().unwrap()[0].1, "alive though nobody holds its lock");
        assert!(ledger.take_dead("one").unwrap().is_none());
        let abandon = async || {
            ledger.abandon(&kept).unwrap();
            ledger.take_dead("one").unwrap().ok_or_else(|| "alive".to_owned())
        };
        wait::until("it to be dead once it was abandoned", MOMENT, Duration::ZERO, abandon).await.unwrap();
    }

    #[test]
    fn id_is_entered_once() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(state.path());
        let _held = ledger.enter(&entry("one")).unwrap();
        let error = ledger.enter(&entry("one")).unwrap_err();
        assert!(error.to_string().contains("clusters/one could not be created"), "{error}");
    }

    #[test]
    fn folder_without_entry_is_listed_as_dead() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(state.path().join("clusters/two")).unwrap();
        std::fs::write(state.path().join("clusters/two/lock"), "").unwrap();
        let list = Ledger::new(state.path()).list().unwrap();
        assert_eq!((list[0].0.id.as_str(), list[0].1), ("two", false));
    }
}
