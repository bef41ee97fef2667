//! The roles of the program inside a cluster, recognised by argv\[0\].

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use crate::wait::terminated;
use crate::{agent, chain, cli, cni, init, operator, shim};

/// The paths at which charts look for the roles: links to the program in every image.
pub(crate) const LINKS: [&str; 14] = [
    "/usr/bin/cilium",
    "/usr/bin/cilium-agent",
    "/usr/bin/cilium-cni",
    "/usr/bin/cilium-dbg",
    "/usr/bin/cilium-envoy-starter",
    "/usr/bin/cilium-operator",
    "/usr/bin/cilium-operator-generic",
    "/usr/bin/cni-install.sh",
    "/usr/bin/cni-uninstall.sh",
    "/usr/bin/init-container.sh",
    "/cni-install.sh",
    "/cni-uninstall.sh",
    "/init-container.sh",
    "/install-plugin.sh",
];

/// What a process of an image is.
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
    /// The `postStart` hook of the agent.
    CniInstall,
    /// The `preStop` hook of the agent.
    CniUninstall,
    /// The init container `install-cni-binaries` of later charts.
    PluginInstall,
    /// A component that the stand-in does not implement: it only answers health checks.
    Idle,
}

/// Returns the role for `argv0`, the name that the program was started by.
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

/// Runs a role until it ends; `args` leaves out the program's name. Call it before any thread exists.
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

/// Runs a daemon until SIGTERM. It waits for no task at the end: connections break as they do when a process dies.
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

fn small_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CILIUM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).init();
}

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

    #[test]
    fn every_link_starts_a_role() {
        for link in LINKS {
            assert!(role(link).is_some(), "{link}");
        }
    }
}
