//! `seatrial gc`.

use std::io::Write as _;

use cluster::registry::{Recorded, Status, inventory};
use cluster::{Ledger, collect};

use engine::{errors, exit, logs, paths, scratch};

/// Removes every dead cluster of the ledger, logs of clusters that are gone, and the folders of killed commands.
pub(crate) async fn run() -> anyhow::Result<u8> {
    let ledger = Ledger::new(&paths::state());
    let mut out = std::io::stdout();
    let (mut removed, mut alive, mut stuck) = (0, 0, 0);
    let inventory = inventory(&ledger)?;
    for error in inventory.unreadable {
        writeln!(out, "left alone: {}", errors::line(&error.into()))?;
        stuck += 1;
    }
    for Recorded { entry, status, .. } in inventory.clusters {
        match status {
            Status::Running | Status::Kept => {
                alive += 1;
                continue;
            }
            Status::Unknown => {
                writeln!(out, "left alone: {}, of the unknown provider {}", entry.id, entry.provider)?;
                continue;
            }
            Status::Dead => {}
        }
        // One that cannot be removed now keeps its entry, and does not keep the others.
        match collect(&ledger, &entry.id).await {
            Ok(()) => {
                writeln!(out, "removed {}", entry.id)?;
                removed += 1;
            }
            Err(e) => {
                writeln!(out, "{} could not be removed: {}", entry.id, errors::line(&e.into()))?;
                stuck += 1;
            }
        }
    }
    let folders =
        [("killed commands", scratch::collect()), ("logs of clusters that are gone", logs::collect(&ledger))];
    for (what, collected) in folders {
        match collected {
            Ok(0) => {}
            Ok(folders) => writeln!(out, "folders of {what} removed: {folders}")?,
            Err(e) => {
                writeln!(out, "{}", errors::line(&e))?;
                stuck += 1;
            }
        }
    }
    writeln!(out, "{removed} removed, {alive} alive and left alone")?;
    Ok(if stuck == 0 { exit::PASSED } else { exit::ERRORED })
}
