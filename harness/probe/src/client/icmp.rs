//! ICMP echo: answered by the kernel of the other end, whatever runs there.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with};

use super::arrival;
use super::packet::Datagrams;
use crate::clock::now_ns;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// Bytes of an echo before what it carries.
const HEADER: usize = 8;

/// Echo requests of one socket.
pub(super) struct Icmp {
    /// The kernel hands us its IP header as well.
    raw: bool,
    /// Tells our echoes from those of other sockets.
    token: u64,
}

/// Opens a socket that talks to `target` alone.
///
/// An unprivileged one where `net.ipv4.ping_group_range` lets us, as on most hosts; otherwise a raw one, which
/// needs the capability NET_RAW, as in a pod.
pub(super) fn open(target: SocketAddr) -> io::Result<(UdpSocket, Icmp)> {
    let open = |kind| {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        socket_with(AddressFamily::INET, kind, flags, Some(ipproto::ICMP))
    };
    let (socket, raw) = match open(SocketType::DGRAM) {
        Ok(socket) => (socket, false),
        Err(Errno::ACCESS | Errno::PERM) => (open(SocketType::RAW)?, true),
        Err(error) => return Err(error.into()),
    };
    connect(&socket, &SocketAddr::new(target.ip(), 0))?;
    arrival::stamp(&socket)?;
    // Send and receive are all that is asked of it, and they are the same for every kind of datagram.
    Ok((socket.into(), Icmp { raw, token: now_ns() }))
}

impl Datagrams for Icmp {
    fn request(&self, seq: u32) -> Vec<u8> {
        let [.., high, low] = seq.to_be_bytes();
        let [.., id_high, id_low] = self.token.to_be_bytes();
        let mut echo = vec![ECHO_REQUEST, 0, 0, 0, id_high, id_low, high, low];
        echo.extend(self.token.to_be_bytes());
        echo.extend(seq.to_be_bytes());
        let sum = checksum(&echo).to_be_bytes();
        echo[2..4].copy_from_slice(&sum);
        echo
    }

    fn answer(&self, bytes: &[u8]) -> Option<u32> {
        let ip_header = if self.raw { usize::from(bytes.first()? & 0x0f) * 4 } else { 0 };
        let echo = bytes.get(ip_header..)?;
        let carried = (*echo.first()? == ECHO_REPLY).then(|| echo.get(HEADER..))??;
        let seq = carried.strip_prefix(&self.token.to_be_bytes())?;
        seq.try_into().ok().map(u32::from_be_bytes)
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let pairs = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        rest => u32::from(rest[0]) << 8,
    });
    let sum: u32 = pairs.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The answer to probe 70,000 of the socket with this token, as a raw socket hands it over.
    fn reply(kind: u8, token: u64) -> Vec<u8> {
        let mut bytes = vec![0x45; 20];
        bytes.extend(Icmp { raw: true, token }.request(70_000));
        bytes[20] = kind;
        bytes
    }

    #[rstest]
    #[case::ours(reply(ECHO_REPLY, 7), Some(70_000))]
    #[case::of_another_socket(reply(ECHO_REPLY, 8), None)]
    #[case::a_request_to_us(reply(ECHO_REQUEST, 7), None)]
    #[case::cut_short(reply(ECHO_REPLY, 7)[..39].to_vec(), None)]
    #[case::empty(Vec::new(), None)]
    fn answers(#[case] bytes: Vec<u8>, #[case] seq: Option<u32>) {
        assert_eq!(Icmp { raw: true, token: 7 }.answer(&bytes), seq);
    }

    #[test]
    fn the_sum_over_a_whole_message_is_nothing() {
        assert_eq!(checksum(&Icmp { raw: true, token: 0x1234_5678_9abc_def1 }.request(99_999)), 0);
    }
}
