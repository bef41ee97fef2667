//! The direction of a transition.

use crate::spelling::spelling;

/// How a transition changes the version that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To a newer version.
    Upgrade,
    /// To an older version, by its manifests.
    Downgrade,
    /// Back to the previous revision of the DaemonSet.
    Rollback,
    /// The same version, applied again.
    ReApply,
    /// The same version, restarted.
    Restart,
    /// Whatever the user does to a cluster while it is watched.
    Watch,
}

spelling!(Direction, "direction", {
    Upgrade => "upgrade",
    Downgrade => "downgrade",
    Rollback => "rollback",
    ReApply => "re-apply",
    Restart => "restart",
    Watch => "watch",
});
