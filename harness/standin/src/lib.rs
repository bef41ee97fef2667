//! The stand-in: a small CNI agent that plays Cilium, so that the harness has something real to upgrade.
//!
//! It has upstream's object names, ConfigMap keys and chart values, and its traffic goes through the Linux kernel: veth
//! pairs, routes between nodes, nftables for services and policy, and an HTTP proxy inside the agent's process. What
//! breaks during an upgrade breaks by the same mechanism as upstream: rules live in the node and outlast the agent, the
//! proxy dies with it, identities are what the shared store says.
//!
//! A version is a short list of behaviours ([`Version`] chooses them); nothing else depends on the version.

mod agent;
mod behaviour;
mod chart;
mod cli;
mod cni;
mod datapath;
mod files;
mod fqdn;
mod health;
mod identity;
mod init;
mod kubernetes;
mod operator;
mod policy;
mod proxy;
mod runtime;
mod service;
pub mod shim;
mod version;
mod wait;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

pub use chart::{MINORS, chart, images};
pub use version::{Version, VersionError};

/// What a process of the image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The agent of a node.
    Agent,
    /// The operator.
    Operator,
    /// The command `cilium`.
    Cli,
    /// The CNI plugin.
    Cni,
    /// The init container `clean-cilium-state`.
    Init,
    /// The hook after the agent's start.
    CniInstall,
    /// The hook before the agent's end.
    CniUninstall,
    /// The init container `install-cni-binaries` of later charts.
    PluginInstall,
    /// A part that the stand-in does not have.
    Idle,
}

/// The role that belongs to the name that a program was started by.
#[must_use]
pub fn role(argv0: &str) -> Option<Role> {
    match Path::new(argv0).file_name()?.to_str()? {
        "cilium-agent" => Some(Role::Agent),
        "cilium-operator" | "cilium-operator-generic" => Some(Role::Operator),
        "cilium" | "cilium-dbg" => Some(Role::Cli),
        "cilium-cni" => Some(Role::Cni),
        "init-container.sh" => Some(Role::Init),
        "cni-install.sh" => Some(Role::CniInstall),
        "cni-uninstall.sh" => Some(Role::CniUninstall),
        "install-plugin.sh" => Some(Role::PluginInstall),
        "cilium-envoy-starter" => Some(Role::Idle),
        _ => None,
    }
}

/// Plays a role to its end; `args` are without the program's name. It has to be called before any thread exists.
#[must_use]
pub fn run(role: Role, args: Vec<OsString>) -> ExitCode {
    match play(role, args) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(error = chain(error.as_ref()), "{role:?} failed");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn play(role: Role, args: Vec<OsString>) -> Result<ExitCode, Failure> {
    match role {
        Role::Agent => {
            log();
            until_terminated(agent::run(args))
        }
        Role::Operator => {
            log();
            until_terminated(operator::run())
        }
        Role::Cli => Ok(small_runtime()?.block_on(cli::run(&args, &mut io::stdout()))?),
        Role::Cni => {
            let succeeded = small_runtime()?.block_on(cni::plugin::run())?;
            Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Role::Init => {
            log();
            small_runtime()?.block_on(init::run())?;
            Ok(ExitCode::SUCCESS)
        }
        Role::CniInstall => {
            log();
            cni::install::install()?;
            Ok(ExitCode::SUCCESS)
        }
        Role::CniUninstall => {
            log();
            cni::install::uninstall();
            Ok(ExitCode::SUCCESS)
        }
        Role::PluginInstall => {
            log();
            cni::install::install_plugin()?;
            Ok(ExitCode::SUCCESS)
        }
        Role::Idle => {
            log();
            until_terminated(shim::idle())
        }
    }
}

/// Runs a daemon. At its end nothing is waited for: connections are cut as they are when a process dies.
fn until_terminated<E>(daemon: impl Future<Output = Result<(), E>>) -> Result<ExitCode, Failure>
where
    Failure: From<E>,
{
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            result = daemon => result.map_err(Failure::from),
            () = terminated() => {
                tracing::info!("terminated");
                Ok(())
            }
        }
    });
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

/// Waits for the signal that ends a container; without a handler the first process of a container ignores it.
async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

fn small_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CILIUM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).init();
}

/// An error with its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
#[cfg(feature = "e2e")]
#[path = "../tests/datapath.rs"]
mod datapath_e2e;

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::bare("cilium-agent", Some(Role::Agent))]
    #[case::path("/usr/bin/cni-install.sh", Some(Role::CniInstall))]
    #[case::installed("/opt/cni/bin/.cilium-cni/cilium-cni", Some(Role::Cni))]
    #[case::other("seatrial", None)]
    #[case::empty("", None)]
    fn names_have_roles(#[case] argv0: &str, #[case] expected: Option<Role>) {
        assert_eq!(role(argv0), expected);
    }
}
