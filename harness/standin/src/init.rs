//! The init container `clean-cilium-state`: removes state if the ConfigMap requests it.

use std::io;
use std::path::Path;

use crate::agent::STATE;
use crate::datapath::conntrack::{self, ConntrackError};
use crate::datapath::nft::{self, ToolError};
use crate::datapath::service_maps;

/// State that could not be removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    /// On disk.
    #[error("the state in {STATE} cannot be removed")]
    State(#[source] io::Error),
    /// The maps of services.
    #[error("the service maps in {} cannot be removed", service_maps::FOLDER)]
    Services(#[source] io::Error),
    /// In the kernel.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The note that describes the connection table.
    #[error(transparent)]
    Conntrack(#[from] ConntrackError),
}

/// What has to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clean {
    /// Endpoints on disk, and all below.
    all: bool,
    /// Packet rules and connections.
    datapath: bool,
}

impl Clean {
    /// Reads the variables of 1.5 (`CLEAN_CILIUM_*`) and of 1.6 (`CILIUM_*`).
    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |names: [&str; 2]| names.iter().any(|name| variable(name).as_deref() == Some("true"));
        let all = set(["CLEAN_CILIUM_STATE", "CILIUM_ALL_STATE"]);
        Self { all, datapath: all || set(["CLEAN_CILIUM_BPF_STATE", "CILIUM_BPF_STATE"]) }
    }
}

/// Runs the init container.
pub(crate) async fn run() -> Result<(), InitError> {
    let clean = Clean::read(|name| std::env::var(name).ok());
    tracing::info!(?clean, "init");
    if clean.all {
        remove(Path::new(STATE)).map_err(InitError::State)?;
    }
    if clean.datapath {
        nft::clear().await?;
        nft::flush_conntrack().await?;
        conntrack::forget()?;
        remove(Path::new(service_maps::FOLDER)).map_err(InitError::Services)?;
    }
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(&[], false, false)]
    #[case::off(&[("CLEAN_CILIUM_STATE", "false")], false, false)]
    #[case::all_of_1_5(&[("CLEAN_CILIUM_STATE", "true")], true, true)]
    #[case::all_of_1_6(&[("CILIUM_ALL_STATE", "true")], true, true)]
    #[case::datapath_of_1_5(&[("CLEAN_CILIUM_BPF_STATE", "true")], false, true)]
    #[case::datapath_of_1_6(&[("CILIUM_BPF_STATE", "true")], false, true)]
    fn reads(#[case] set: &[(&str, &str)], #[case] all: bool, #[case] datapath: bool) {
        let clean =
            Clean::read(|name| set.iter().find(|(it, _)| *it == name).map(|(_, it)| (*it).to_owned()));
        assert_eq!(clean, Clean { all, datapath });
    }
}
