//! The roles that the program `seatrial` plays in a cluster, recognised by argv\[0\].

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// A role other than the command itself.
#[derive(Debug)]
pub enum Role {
    /// A process of a sandbox.
    Sandbox(cluster::sandbox::Role),
    /// A prober, a server, or what runs on a node beside them.
    Probe(probe::role::Role),
    /// The cluster DNS.
    ClusterDns,
    /// The process that holds the namespaces of a pod.
    Pause,
    /// Reads and writes files of a node.
    NodeFile,
    /// Starts roles on a host outside of the cluster.
    Outside,
}

/// Names under which images hold this program.
pub const IN_IMAGES: [&str; 8] = [
    "pause",
    cluster::dns::ROLE,
    "probe-client",
    "probe-server",
    "probe-node",
    "probe-ask",
    cluster::node_file::ROLE,
    cluster::outside::ROLE,
];

impl Role {
    /// The role of a process with this argv\[0\]; `None` for the command itself.
    #[must_use]
    pub fn from_argv0(argv0: &OsStr) -> Option<Self> {
        let name = Path::new(argv0).file_name()?.to_str()?;
        cluster::sandbox::Role::from_name(name)
            .map(Self::Sandbox)
            .or_else(|| probe::role::role(name).map(Self::Probe))
            .or_else(|| (name == cluster::dns::ROLE).then_some(Self::ClusterDns))
            .or_else(|| (name == "pause").then_some(Self::Pause))
            .or_else(|| (name == cluster::node_file::ROLE).then_some(Self::NodeFile))
            .or_else(|| (name == cluster::outside::ROLE).then_some(Self::Outside))
    }

    /// Plays the role to its end.
    #[must_use]
    pub fn run(self, args: Vec<OsString>) -> ExitCode {
        match self {
            Self::Sandbox(role) => role.run(&args),
            Self::Probe(role) => probe::role::run(role, args),
            Self::ClusterDns => cluster::dns::run(),
            Self::Pause => pause(),
            Self::NodeFile => cluster::node_file::run(&args),
            Self::Outside => cluster::outside::run(&args),
        }
    }
}

/// Holds a pod's namespaces open until it is told to end.
fn pause() -> ExitCode {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    match signals.thread_block().and_then(|()| signals.wait()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_an_image_is_a_role_and_the_command_is_none() {
        for name in IN_IMAGES {
            assert!(Role::from_argv0(OsStr::new(&format!("/usr/bin/{name}"))).is_some(), "{name}");
        }
        assert!(Role::from_argv0(OsStr::new("/usr/bin/seatrial")).is_none());
    }
}
