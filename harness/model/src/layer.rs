//! The layer at which traffic is judged.

use crate::spelling::spelling;

/// The layer at which a flow is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Packets: UDP and ICMP.
    L3,
    /// Connections: TCP.
    L4,
    /// Requests through a proxy.
    L7,
    /// Traffic that policy must block.
    Policy,
    /// What the cluster does for its pods: a new one gets its network.
    Control,
    /// The harness's own control traffic, which does not cross the subject.
    Canary,
}

spelling!(Layer, "layer", {
    L3 => "L3",
    L4 => "L4",
    L7 => "L7",
    Policy => "policy",
    Control => "control",
    Canary => "canary",
});
