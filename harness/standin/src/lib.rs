//! The stand-in: a small CNI agent that plays Cilium, so that an upgrade can be measured without Cilium's images.
//!
//! It uses upstream's object names, ConfigMap keys and chart values, and its traffic goes through the Linux kernel: veth
//! pairs, routes between nodes, nftables for services and policy, and an HTTP proxy inside the agent's process. What
//! breaks during an upgrade breaks by the same mechanism as upstream: rules live in the node and outlast the agent, the
//! proxy dies with it, and identities come from the shared store.
//!
//! A version is a short list of behaviours ([`Version`] chooses them); nothing else depends on the version.
//!
//! The program `seatrial-standin` is all that the harness uses: [`command`] describes it and writes its charts, and inside
//! of a cluster it plays the [`Role`] whose name it is started by.

mod agent;
mod behaviour;
mod chart;
mod cli;
mod cni;
pub mod command;
mod datapath;
mod description;
mod files;
mod fqdn;
mod health;
mod identity;
mod init;
mod kubernetes;
mod operator;
mod policy;
mod proxy;
mod role;
mod runtime;
mod service;
mod shim;
mod version;
mod wait;

pub use role::{Role, role, run};
pub use version::{Version, VersionError};

/// Formats an error with its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
#[cfg(feature = "e2e")]
#[path = "../tests/datapath.rs"]
mod datapath_e2e;
