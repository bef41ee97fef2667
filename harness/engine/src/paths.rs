//! Where seatrial keeps what it keeps.

use std::path::PathBuf;

/// Built components: `SEATRIAL_CACHE`, else `seatrial` in the user's cache folder.
pub fn cache() -> PathBuf {
    folder("SEATRIAL_CACHE", "XDG_CACHE_HOME", ".cache")
}

/// The ledger of clusters: `SEATRIAL_STATE`, else `seatrial` in the user's state folder.
pub fn state() -> PathBuf {
    folder("SEATRIAL_STATE", "XDG_STATE_HOME", ".local/state")
}

fn folder(own: &str, base: &str, below_home: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os(own) {
        return folder.into();
    }
    let base = std::env::var_os(base).map(PathBuf::from);
    let home = || std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")).join(below_home);
    base.unwrap_or_else(home).join("seatrial")
}
