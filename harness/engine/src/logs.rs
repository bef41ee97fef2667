//! Logs of clusters that were brought up by hand: a folder each in the state folder, which goes with the cluster. Those of
//! a cluster that did not come up stay until `gc`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cluster::Ledger;

use crate::paths;

/// The folder for a cluster's logs; it is made with the cluster, after its entry in the ledger.
pub fn folder(id: &str) -> PathBuf {
    place().join(id)
}

fn place() -> PathBuf {
    paths::state().join("logs")
}

/// Removes a cluster's logs, if there are any.
///
/// # Errors
/// When they cannot be removed.
pub fn remove(id: &str) -> anyhow::Result<()> {
    remove_folder(&folder(id))
}

/// Removes the logs of clusters that the ledger does not have, and returns their number.
///
/// # Errors
/// When the folder or the ledger cannot be read, or a log cannot be removed.
pub fn collect(ledger: &Ledger) -> anyhow::Result<usize> {
    collect_in(&place(), ledger)
}

fn collect_in(place: &Path, ledger: &Ledger) -> anyhow::Result<usize> {
    let cannot = || format!("{} cannot be read", place.display());
    let listing = match std::fs::read_dir(place) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
        listing => listing.with_context(cannot)?,
    };
    let folders: Vec<_> = listing.collect::<Result<_, _>>().with_context(cannot)?;
    // Read after the folders: the entry of a cluster that is coming up is older than its logs.
    let entered = ledger.ids()?;
    let mut removed = 0;
    for folder in folders {
        if !entered.iter().any(|id| **id == *folder.file_name()) {
            remove_folder(&folder.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove_folder(folder: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("{} cannot be removed", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_a_cluster_that_is_there_stay() {
        let state = tempfile::tempdir().unwrap();
        let (place, ledger) = (state.path().join("logs"), Ledger::new(state.path()));
        assert_eq!(collect_in(&place, &ledger).unwrap(), 0);
        for id in ["there", "gone"] {
            std::fs::create_dir_all(place.join(id)).unwrap();
        }
        std::fs::create_dir_all(ledger.folder("there")).unwrap();
        assert_eq!(collect_in(&place, &ledger).unwrap(), 1);
        assert!(place.join("there").exists() && !place.join("gone").exists());
    }
}
