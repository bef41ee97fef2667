//! `seatrial gc`.

use std::io::Write as _;

use cluster::Ledger;
use cluster::sandbox::collect;

use crate::{exit, paths};

/// Removes every dead cluster of the ledger.
pub(crate) async fn run() -> anyhow::Result<u8> {
    let ledger = Ledger::new(&paths::state());
    let mut out = std::io::stdout();
    let (mut removed, mut alive) = (0, 0);
    for (entry, lives) in ledger.list()? {
        if lives {
            alive += 1;
            continue;
        }
        collect(&ledger, &entry.id).await?;
        writeln!(out, "removed {}", entry.id)?;
        removed += 1;
    }
    writeln!(out, "{removed} removed, {alive} alive and left alone")?;
    Ok(exit::PASSED)
}
