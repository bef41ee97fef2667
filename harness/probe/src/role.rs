//! The roles that the program plays inside probe pods, chosen by the name under which it was started.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::client::{self, ClientError};
use crate::server;

/// The environment variable that holds a prober's flows as JSON.
pub(crate) const FLOWS_VARIABLE: &str = "SEATRIAL_FLOWS";
/// The name that makes the program a prober.
pub(crate) const CLIENT: &str = "probe-client";
/// The name that makes the program a server of probes.
pub(crate) const SERVER: &str = "probe-server";

/// A role inside a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends probes and prints their samples.
    Client,
    /// Answers probes.
    Server,
}

/// Returns the role that goes with the name under which the program was started.
#[must_use]
pub fn role(argv0: &str) -> Option<Role> {
    match Path::new(argv0).file_name()?.to_str()? {
        CLIENT => Some(Role::Client),
        SERVER => Some(Role::Server),
        _ => None,
    }
}

/// Plays a role until SIGTERM; call it before any thread exists.
///
/// A client takes its flows from the environment, a server its listeners (`udp:7000`) from `args`, which
/// do not include the program's name.
pub fn run(role: Role, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = match role {
        Role::Client => run_client(),
        Role::Server => run_server(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut line = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                line = format!("{line}: {cause}");
                source = cause.source();
            }
            // Nobody is left to tell when stderr is gone.
            let _gone = writeln!(io::stderr(), "{line}");
            ExitCode::FAILURE
        }
    }
}

type Error = Box<dyn std::error::Error>;

fn run_client() -> Result<(), Error> {
    let json = env::var(FLOWS_VARIABLE).unwrap_or_default();
    let flows = serde_json::from_str(&json).map_err(ClientError::Flows)?;
    Ok(client::run(flows, io::stdout(), terminated())?)
}

fn run_server(args: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let listeners = args
        .into_iter()
        .map(|arg| arg.to_string_lossy().parse())
        .collect::<Result<Vec<_>, server::ListenerError>>()?;
    Ok(server::run(&listeners, terminated())?)
}

/// Resolves on SIGTERM: the first process of a container ignores it unless it asks for it.
async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::bare("probe-client", Some(Role::Client))]
    #[case::path("/usr/bin/probe-server", Some(Role::Server))]
    #[case::other("/usr/bin/seatrial", None)]
    #[case::empty("", None)]
    fn roles(#[case] argv0: &str, #[case] expected: Option<Role>) {
        assert_eq!(role(argv0), expected);
    }
}
