//! The class of a probe that failed with a socket error.

use std::io;

use model::Class;

/// Returns the class of a socket error.
pub(crate) fn class_of(error: &io::Error) -> Class {
    use io::ErrorKind as E;
    match error.kind() {
        E::ConnectionRefused => Class::Refused,
        E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe => Class::Reset,
        E::TimedOut => Class::Lost,
        E::UnexpectedEof => Class::Closed,
        // No route, a local firewall, or a local shortage (ports, buffers): the probe did not leave this host.
        _ => Class::Unreachable,
    }
}
