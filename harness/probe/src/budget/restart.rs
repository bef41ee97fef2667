//! Restarts of agents, found in observations.

use std::collections::BTreeMap;

use model::{Change, Role};

use crate::attribution::Observed;

/// A restart of a subject's pod on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Node.
    pub node: String,
    /// When the pod was seen to go, ns.
    pub gone_ns: u64,
    /// When a pod was seen to be ready again, ns; absent while none is.
    pub ready_ns: Option<u64>,
}

impl Restart {
    /// Finds the restarts of the objects of a role, in the order of `seen`.
    #[must_use]
    pub fn all(seen: &[Observed], role: Role) -> Vec<Self> {
        let mut restarts: Vec<Self> = Vec::new();
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for event in seen.iter().filter(|event| event.role == role) {
            let Some(node) = event.node.as_deref() else { continue };
            match (event.change, open.get(node).copied()) {
                (Change::Deleted | Change::Terminated, None) => {
                    open.insert(node, restarts.len());
                    restarts.push(Self { node: node.into(), gone_ns: event.at_ns, ready_ns: None });
                }
                (Change::Ready, Some(index)) => {
                    restarts[index].ready_ns = Some(event.at_ns);
                    open.remove(node);
                }
                _ => {}
            }
        }
        restarts
    }
}
