//! The time at which an answer reached this host, from the kernel: the prober reads answers later.

use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd as _};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;

use crate::clock;

/// Makes the kernel stamp each datagram with its arrival.
pub(crate) fn stamp(socket: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::ReceiveTimestampns, &true)?)
}

/// Receives a datagram; returns its length and when it arrived, ns of CLOCK_MONOTONIC.
///
/// # Errors
/// The socket's error; `WouldBlock` when no datagram has arrived.
pub(crate) fn receive(socket: &UdpSocket, bytes: &mut [u8]) -> io::Result<(usize, u64)> {
    let mut control = cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(bytes)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let stamped = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(at) => Some(at),
        _ => None,
    });
    Ok((message.bytes, stamped.map_or_else(clock::now_ns, |at| clock::monotonic_of(at.into()))))
}
