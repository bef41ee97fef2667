//! The one module of this crate that runs other programs.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started.
pub fn output<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> std::io::Result<Output> {
    #[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
    let mut command = Command::new(program);
    command.args(args).output()
}
