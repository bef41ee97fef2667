//! The kernel's table of tracked connections, and the note that describes how it was made.

use std::io;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;

use super::TABLE;
use super::nft::{self, ToolError};
use crate::behaviour::connection_table::{ConnectionTable, Made, Takeover, UnreadableTable};
use crate::files::write_atomically;

/// Where the note lies, on the node and in the agent's pod alike.
pub(crate) const NOTE: &str = "/var/run/cilium/conntrack.json";

/// The table of an earlier agent cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConntrackError {
    /// Its format.
    #[error(transparent)]
    Unreadable(#[from] UnreadableTable),
    /// Its note.
    #[error("the note {} of the connection table cannot be kept", path.display())]
    Note {
        /// The note.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// Makes the table what this version wants, and notes it.
///
/// Pods of `pods` that were disconnected are connected again by the next rules.
pub(crate) async fn take_over(
    table: ConnectionTable,
    wanted: Made,
    pods: Ipv4Net,
) -> Result<(), ConntrackError> {
    let note = Path::new(NOTE);
    let takeover = table.take_over(read(note)?, wanted)?;
    match takeover {
        Takeover::Keep => {}
        Takeover::Clear => {
            nft::apply(&closed(pods)).await?;
            nft::flush_conntrack().await?;
        }
        Takeover::ClearTcp => nft::flush_tcp_conntrack().await?,
    }
    tracing::info!(?takeover, ?wanted, "connection table");
    let text = serde_json::to_vec(&wanted).unwrap_or_default();
    write_atomically(note, &text, 0o644).map_err(failed(note))
}

/// Forgets how the table was made, for it was cleared.
pub(crate) fn forget() -> Result<(), ConntrackError> {
    match std::fs::remove_file(NOTE) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(Path::new(NOTE))(error)),
        _ => Ok(()),
    }
}

fn read(note: &Path) -> Result<Option<Made>, ConntrackError> {
    match std::fs::read(note) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|e| failed(note)(e.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(note)(error)),
    }
}

/// Takes pods off the network: what they send and receive is dropped until the next rules are in force.
fn closed(pods: Ipv4Net) -> String {
    let chain = "policy_prerouting";
    format!(
        "table {TABLE} {{\n\tchain {chain} {{\n\t\ttype filter hook prerouting priority -50; policy accept;\n\t}}\n}}\n\
         flush chain {TABLE} {chain}\n\
         add rule {TABLE} {chain} ip saddr {pods} drop\n\
         add rule {TABLE} {chain} ip daddr {pods} drop\n"
    )
}

fn failed(note: &Path) -> impl Fn(io::Error) -> ConntrackError {
    let path = note.to_owned();
    move |source| ConntrackError::Note { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("conntrack.json");
        assert_eq!(read(&note).unwrap(), None);
        std::fs::write(&note, r#"{"format":3,"tcp-size":524288}"#).unwrap();
        assert_eq!(read(&note).unwrap(), Some(Made { format: 3, tcp_size: 524_288 }));
        std::fs::write(&note, "torn").unwrap();
        assert!(read(&note).unwrap_err().to_string().contains("conntrack.json"));
    }

    #[test]
    fn pods_are_taken_off_in_both_directions() {
        let script = closed("10.244.0.0/24".parse().unwrap());
        assert!(
            script.contains("ip saddr 10.244.0.0/24 drop") && script.contains("ip daddr 10.244.0.0/24 drop")
        );
    }
}
