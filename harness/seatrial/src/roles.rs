//! The parts that this one program plays inside a cluster, recognised by argv\[0\].

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// A part other than the command itself.
#[derive(Debug)]
pub(crate) enum Role {
    Sandbox(cluster::sandbox::Role),
    Pause,
}

/// Names under which images hold this program.
pub(crate) const IN_IMAGES: [&str; 1] = ["pause"];

impl Role {
    pub(crate) fn from_argv0(argv0: &OsStr) -> Option<Self> {
        let name = Path::new(argv0).file_name()?.to_str()?;
        cluster::sandbox::Role::from_name(name)
            .map(Self::Sandbox)
            .or_else(|| (name == "pause").then_some(Self::Pause))
    }

    pub(crate) fn run(self, args: Vec<OsString>) -> ExitCode {
        match self {
            Self::Sandbox(role) => role.run(&args),
            Self::Pause => pause(),
        }
    }
}

/// Holds a pod's namespaces open until it is told to end.
fn pause() -> ExitCode {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    match signals.thread_block().and_then(|()| signals.wait()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
