//! `seatrial-standin`: a role inside a cluster, by the name that it is started by, or else its own command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    match name.to_str().and_then(standin::role) {
        Some(role) => standin::run(role, arguments.collect()),
        None => standin::command::run(),
    }
}
