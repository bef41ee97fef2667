//! `seatrial`: what an upgrade of Cilium does to traffic, measured on an ephemeral cluster.

mod cli;
mod commands;
mod given;
mod options;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Roles come first: some enter namespaces, which a process with threads cannot.
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if let Some(role) = engine::roles::Role::from_argv0(&name) {
        return role.run(arguments.collect());
    }
    cli::main()
}
