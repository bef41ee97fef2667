//! The one module of this crate that runs other programs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;

/// Runs a program to its end and returns its output.
pub(crate) async fn output<S: AsRef<OsStr>>(program: &Path, args: &[S]) -> std::io::Result<Output> {
    let mut command = Command::from(command(program));
    command.kill_on_drop(true);
    command.args(args).output().await
}

/// Runs a short program to its end and returns its output, without a runtime.
pub(crate) fn blocking_output<S: AsRef<OsStr>>(program: &Path, args: &[S]) -> std::io::Result<Output> {
    command(program).args(args).output()
}

fn command(program: &Path) -> std::process::Command {
    #[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
    let mut command = std::process::Command::new(program);
    command.stdin(Stdio::null());
    command
}
