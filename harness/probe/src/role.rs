//! The roles of the program in probe pods, selected by the name under which it is started.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::client::{ClientError, FLOWS_VARIABLE, dns};
use crate::server::{self, Serving};
use crate::{node, prober};

/// The name that makes the program a prober.
pub const CLIENT_NAME: &str = "probe-client";
/// The name that makes the program a server of probes.
pub const SERVER_NAME: &str = "probe-server";

/// The name that makes the program look up a name in DNS.
pub const ASK_NAME: &str = "probe-ask";
/// The prefix of an argument with an address that a server adds to its host, and on which it listens.
pub(crate) const OWN_ADDRESS: &str = "address:";
/// The prefix of an argument with the only address on which a server listens.
pub(crate) const LISTEN: &str = "listen:";
/// The prefix of an argument with the token of the datagrams that a server answers.
pub const TOKEN: &str = "token:";
/// The name that makes the program a watcher of its node.
pub const NODE_NAME: &str = "probe-node";

/// A role inside a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends probes and prints their samples.
    Client,
    /// Answers probes.
    Server,
    /// Looks up a name in the cluster's DNS, once, and prints the answer.
    Ask,
    /// Prints the changes of its node's kernel counters.
    Node,
}

/// Returns the role of the name under which the program was started.
#[must_use]
pub fn role(argv0: &str) -> Option<Role> {
    match Path::new(argv0).file_name()?.to_str()? {
        CLIENT_NAME => Some(Role::Client),
        SERVER_NAME => Some(Role::Server),
        ASK_NAME => Some(Role::Ask),
        NODE_NAME => Some(Role::Node),
        _ => None,
    }
}

/// Runs a role until SIGTERM. Call it before any thread exists.
///
/// A client reads its flows from the file in `args`, or from the environment, which has room for some hundreds. A server
/// reads from `args` its listeners (`udp:7000`), the token that datagrams must carry (`token:0011223344556677`), the only
/// address on which it listens (`listen:192.0.2.1`), and addresses to add to its host (`address:192.0.2.1`). A look-up reads
/// the DNS server's address and the name from `args`. The program's name is not part of `args`.
pub fn run(role: Role, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = match role {
        Role::Client => run_client(args),
        Role::Server => run_server(args),
        Role::Ask => run_ask(args),
        Role::Node => node::run(io::stdout(), terminated()).map_err(Error::from),
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
            // The error cannot be reported anywhere else when stderr is closed.
            let _gone = writeln!(io::stderr(), "{line}");
            ExitCode::FAILURE
        }
    }
}

type Error = Box<dyn std::error::Error>;

fn run_client(args: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let json = match args.into_iter().next() {
        Some(path) => fs::read_to_string(&path)
            .map_err(|source| ClientError::System { doing: "read the file of its flows", source })?,
        None => env::var(FLOWS_VARIABLE).unwrap_or_default(),
    };
    let flows = serde_json::from_str(&json).map_err(ClientError::Flows)?;
    Ok(prober::run(flows, io::stdout(), terminated())?)
}

fn run_server(args: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
    Ok(server::run(&serving(args)?, terminated())?)
}

/// Reads the arguments of a server.
fn serving(args: impl IntoIterator<Item = String>) -> Result<Serving, Error> {
    let mut serving = Serving::default();
    for arg in args {
        let no_address = |prefix: &str| format!("{arg:?} is no address; write {prefix}192.0.2.1");
        if let Some(address) = arg.strip_prefix(OWN_ADDRESS) {
            serving.own_addresses.push(address.parse().map_err(|_| no_address(OWN_ADDRESS))?);
        } else if let Some(address) = arg.strip_prefix(LISTEN) {
            serving.listen_on = Some(address.parse().map_err(|_| no_address(LISTEN))?);
        } else if let Some(token) = arg.strip_prefix(TOKEN) {
            serving.token = Some(token.parse()?);
        } else {
            serving.listeners.push(arg.parse()?);
        }
    }
    Ok(serving)
}

fn run_ask(args: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let args: Vec<_> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let [server, name] = &args[..] else { return Err("usage: probe-ask SERVER:PORT NAME".into()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let addresses = runtime.block_on(dns::look_up(server.parse()?, name))?;
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    Ok(writeln!(io::stdout(), "{name} is {}", addresses.join(", "))?)
}

/// Resolves on SIGTERM, which the first process of a container ignores without a handler.
async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::bare("probe-client", Some(Role::Client))]
    #[case::asks("probe-ask", Some(Role::Ask))]
    #[case::path("/usr/bin/probe-server", Some(Role::Server))]
    #[case::other("/usr/bin/seatrial", None)]
    #[case::empty("", None)]
    fn roles(#[case] argv0: &str, #[case] expected: Option<Role>) {
        assert_eq!(role(argv0), expected);
    }

    #[test]
    fn the_arguments_of_a_server_are_read() {
        let args = ["token:0011223344556677", "listen:10.0.0.1", "address:192.0.2.10", "udp:27000"];
        let serving = serving(args.map(str::to_owned)).unwrap();
        assert_eq!(serving.token, "0011223344556677".parse().ok());
        assert_eq!(serving.listen_on, Some([10, 0, 0, 1].into()));
        assert_eq!(serving.own_addresses, [Ipv4Addr::new(192, 0, 2, 10)]);
        assert_eq!(serving.listeners, ["udp:27000".parse().unwrap()]);
    }

    #[rstest]
    #[case::variable_that_was_not_set("listen:$(NODE_IP)", "\"listen:$(NODE_IP)\" is no address")]
    #[case::no_token("token:", "a token is 16 hexadecimal digits")]
    fn wrong_arguments_are_named(#[case] arg: &str, #[case] message: &str) {
        let error = serving([arg.to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}
