//! From a process on the host to the first process of a PID namespace.
//!
//! `outer` enters the namespaces and waits; `init` is process 1 inside, creates the shared mounts, and reaps orphans; the
//! supervisor is its only child. When any of the three ends, the kernel ends everything in the sandbox.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, wait};

use super::cgroup;
use super::mounts::{file_system, propagation};
use crate::spawn::this_program;

/// Enters the cgroup of the cluster, whose weight the host side sets, and the namespaces; starts `init` and waits for it.
pub(super) fn outer(cgroup: &str) -> io::Result<ExitCode> {
    // At Ctrl-C in the terminal, the command ends the sandbox in order.
    nix::unistd::setsid()?;
    cgroup::enter(cgroup)?;
    cgroup::enter_namespace(cgroup)?;
    let flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(flags)?;
    this_program(super::Role::Init.name())?.spawn()?.wait()?;
    Ok(ExitCode::SUCCESS)
}

/// Process 1 of the sandbox.
pub(super) fn init() -> io::Result<ExitCode> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    propagation(MsFlags::MS_PRIVATE)?;
    file_system("proc", Path::new("/proc"), "")?;
    cgroup::remount()?;
    file_system("tmpfs", Path::new("/run"), "mode=755")?;
    let supervisor = this_program(super::Role::Supervisor.name())?.spawn()?.id();
    loop {
        match wait()? {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)
                if pid.as_raw() as u32 == supervisor =>
            {
                return Ok(ExitCode::SUCCESS);
            }
            _orphan => {}
        }
    }
}
