//! An entry of the ledger.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the ledger records about a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Cluster id.
    pub id: String,
    /// When it was created, RFC 3339, UTC.
    pub created: String,
    /// Name of its provider.
    pub provider: String,
    /// Number of nodes.
    pub nodes: u32,
    /// The process that made it.
    pub owner: u32,
    /// The process on the host under which all of its processes run; 0 where there is none, or before it starts.
    pub root: u32,
    /// The cgroup in which all of its processes run, relative to the root of each hierarchy; empty where there is none.
    pub cgroup: String,
    /// Address of its API server on the host; empty until it is open.
    pub api: String,
    /// Whether it outlives its owner.
    pub kept: bool,
    /// What its provider needs to reach and collect it; only the provider reads this.
    #[serde(default, rename = "access", skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

impl Entry {
    /// A new entry of this process.
    #[must_use]
    pub fn new(provider: &str, id: &str, nodes: u32) -> Self {
        Self {
            id: id.to_owned(),
            created: jiff::Timestamp::now().to_string(),
            provider: provider.to_owned(),
            nodes,
            owner: std::process::id(),
            root: 0,
            cgroup: String::new(),
            api: String::new(),
            kept: false,
            detail: None,
        }
    }

    /// The entry of a folder whose owner ended before it wrote one; nothing else of the cluster exists.
    pub(super) fn unwritten(folder: &Path) -> Self {
        let id = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Self { owner: 0, created: String::new(), ..Self::new("", &id, 0) }
    }

    /// Whether the owner ended before it wrote the entry.
    #[must_use]
    pub fn is_unwritten(&self) -> bool {
        self.provider.is_empty()
    }
}
