//! File descriptors that the host side passes into the sandbox, by number.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The listener of the API on the loopback of the host.
pub(crate) const LISTENER: i32 = 3;
/// The lock of the ledger entry.
pub(crate) const LOCK: i32 = 4;

/// The descriptors of the supervisor; its children do not inherit them.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) listener: TcpListener,
    /// Only held: the cluster is alive as long as it is open.
    pub(crate) _lock: File,
}

/// Takes over the descriptors. Must be called once, at the start of the supervisor.
pub(crate) fn take() -> std::io::Result<Handed> {
    #[expect(unsafe_code, reason = "the numbers are this program's own protocol; nothing else owns them yet")]
    let (listener, lock) = unsafe { (OwnedFd::from_raw_fd(LISTENER), OwnedFd::from_raw_fd(LOCK)) };
    for fd in [&listener, &lock] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let listener = TcpListener::from(listener);
    listener.set_nonblocking(true)?;
    Ok(Handed { listener, _lock: lock.into() })
}
