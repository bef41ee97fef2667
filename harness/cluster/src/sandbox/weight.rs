//! What a cluster gets of the processors beside whatever else the machine does.

use super::SandboxError;
use super::cgroup;
use super::host::io;
use crate::ledger::cgroup_name;

/// Weight of a cluster that measures, in that of a process.
const WEIGHT: u32 = 4;

/// How much of the processors a cluster gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// More than any process of the machine: it measures, or nobody does.
    Most,
    /// What nobody else wants: another measures.
    Least,
}

/// Whether clusters of this machine can be given weights.
#[must_use]
pub fn can_weigh() -> bool {
    cgroup::can_weigh()
}

/// Gives a cluster a weight, at any time from before its first process to after its last.
///
/// # Errors
/// When its cgroup cannot be written.
pub(crate) fn weigh(id: &str, weight: Weight) -> Result<(), SandboxError> {
    let name = cgroup_name(id);
    let done = match weight {
        Weight::Most => cgroup::weigh(&name, WEIGHT),
        Weight::Least => cgroup::weigh_least(&name),
    };
    done.map_err(io(format!("the cgroup {name} could not be given its weight")))
}
