//! `seatrial`: what an upgrade of Cilium does to traffic, measured on an ephemeral cluster.

mod bundle;
mod cli;
mod commands;
mod errors;
mod exit;
mod logs;
mod paths;
mod provider;
mod redact;
mod roles;
mod run;
mod scenario;
#[cfg(test)]
mod schema;
mod scratch;
mod spawn;
mod subjects;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Roles come first: some enter namespaces, which a process with threads cannot.
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if let Some(role) = roles::Role::from_argv0(&name) {
        return role.run(arguments.collect());
    }
    cli::main()
}
