//! What is observed in a cluster.

use model::{Change, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change of an object in the cluster; node and time connect it to outages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    /// Node name; none for objects of the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Role of the object.
    pub role: Role,
    /// Object, such as `pod kube-system/agent-x7x2p`.
    pub object: String,
    /// What happened to it.
    pub change: Change,
    /// Anything that helps a reader: image, exit code, key names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
