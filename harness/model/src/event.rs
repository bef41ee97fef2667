//! What is observed in a cluster.

use crate::spelling::spelling;

/// The role of an observed object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A pod of the subject's DaemonSet.
    Agent,
    /// A pod of the L7 proxy's own DaemonSet.
    Proxy,
    /// A pod of the operator's Deployment.
    Operator,
    /// A pod of a pre-flight check.
    Preflight,
    /// A pod that sends or answers probes.
    Probe,
    /// The subject's ConfigMap.
    Config,
    /// A network policy.
    Policy,
    /// A Service.
    Service,
    /// An EndpointSlice.
    Endpoints,
    /// A node.
    Node,
    /// A node's connection table.
    Conntrack,
    /// A node's network interface.
    Link,
    /// A security identity.
    Identity,
    /// The harness itself.
    Harness,
}

spelling!(Role, "role", {
    Agent => "agent",
    Proxy => "proxy",
    Operator => "operator",
    Preflight => "preflight",
    Probe => "probe",
    Config => "config",
    Policy => "policy",
    Service => "service",
    Endpoints => "endpoints",
    Node => "node",
    Conntrack => "conntrack",
    Link => "link",
    Identity => "identity",
    Harness => "harness",
});

/// What happened to an observed object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It was created.
    Created,
    /// A container started.
    Started,
    /// It became ready.
    Ready,
    /// It stopped being ready.
    NotReady,
    /// Its deletion was requested.
    Deleted,
    /// Its containers ended.
    Terminated,
    /// A container cannot start.
    CannotStart,
    /// It was created or its content changed.
    Written,
    /// It was removed.
    Removed,
    /// An agent refused it.
    Refused,
    /// Its entries were removed.
    Cleared,
    /// It went down.
    Down,
    /// It was migrated with its number.
    Migrated,
    /// It had been migrated before.
    AlreadyMigrated,
    /// It was migrated under another number.
    Renumbered,
}

spelling!(Change, "change", {
    Created => "created",
    Started => "started",
    Ready => "ready",
    NotReady => "not-ready",
    Deleted => "deleted",
    Terminated => "terminated",
    CannotStart => "cannot-start",
    Written => "written",
    Removed => "removed",
    Refused => "refused",
    Cleared => "cleared",
    Down => "down",
    Migrated => "migrated",
    AlreadyMigrated => "already-migrated",
    Renumbered => "renumbered",
});
