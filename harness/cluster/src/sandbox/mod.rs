//! A real multi-node cluster in namespaces of this machine, without a container engine on the host.
//!
//! `host` is this side of it; `init`, `supervisor`, `node`, `node_role` and `outside` run inside.

mod cgroup;
mod fds;
mod host;
mod init;
mod mounts;
mod netfilter;
mod node;
mod node_config;
mod node_role;
mod outside;
mod spec;
mod supervisor;
mod weight;

use std::ffi::OsString;
use std::process::ExitCode;

pub use host::{Executed, Sandbox, SandboxError, SandboxRequest, collect, down, exec, set_dormant};
pub use spec::Cni;
pub(crate) use spec::DNS_ADDRESS;
pub use weight::{Share, Weight, can_weigh};

/// Address under which pods and agents reach the API server without any service translation.
pub const API_INSIDE: (&str, u16) = (spec::CONTROL_PLANE, spec::API_PORT);

/// A part that this program plays in a process of its own; recognised by the process's name, argv\[0\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Enters the namespaces and waits.
    Outer,
    /// Process 1 inside.
    Init,
    /// Starts everything.
    Supervisor,
    /// A node.
    Node,
    /// The host outside of the cluster.
    Outside,
}

impl Role {
    const ALL: [Self; 5] = [Self::Outer, Self::Init, Self::Supervisor, Self::Node, Self::Outside];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outer => "seatrial-sandbox",
            Self::Init => "seatrial-sandbox-init",
            Self::Supervisor => "seatrial-sandbox-supervisor",
            Self::Node => "seatrial-sandbox-node",
            Self::Outside => "seatrial-sandbox-outside",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Plays the role. To be called before the process has a second thread: namespaces belong to threads.
    #[must_use]
    pub fn run(self, args: &[OsString]) -> ExitCode {
        let name = args.first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
        let ended = match self {
            Self::Outer => init::outer(&name),
            Self::Init => init::init(),
            Self::Supervisor => supervisor::supervisor(),
            Self::Node => node_role::node(&name),
            Self::Outside => outside::outside(&name),
        };
        ended.unwrap_or_else(|e| {
            let message = format!("{}: {e}", self.name());
            supervisor::report(&spec::Report::Failed { message });
            ExitCode::FAILURE
        })
    }
}
