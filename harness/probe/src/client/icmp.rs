//! ICMP echo, answered by the kernel of the server's host.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with};

use super::packet::{self, Datagrams};
use super::recorder::Recorder;
use super::{ClientError, OnDue, arrival};
use crate::clock::now_ns;
use crate::flow::FlowSpec;

/// The types of an echo request and of its reply, in ICMP (RFC 792) and in ICMPv6 (RFC 4443).
const ECHO: [u8; 2] = [8, 0];
const ECHO_V6: [u8; 2] = [128, 129];
/// Bytes of an echo before what it carries.
const HEADER: usize = 8;

/// Echo requests of one socket.
struct Icmp {
    /// The types of a request and of its reply.
    types: [u8; 2],
    /// Whether the kernel passes the IP header too.
    has_ip_header: bool,
    /// Distinguishes the echoes of this socket from those of others.
    token: u64,
}

/// Opens a socket connected to `target`.
///
/// It is unprivileged where `net.ipv4.ping_group_range` allows that, as on most hosts, and raw elsewhere, which needs the
/// capability NET_RAW.
fn open(target: SocketAddr) -> io::Result<(UdpSocket, Icmp)> {
    let (family, protocol, types) = match target {
        SocketAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, ECHO),
        SocketAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, ECHO_V6),
    };
    let open = |kind| {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        socket_with(family, kind, flags, Some(protocol))
    };
    let (socket, raw) = match open(SocketType::DGRAM) {
        Ok(socket) => (socket, false),
        Err(Errno::ACCESS | Errno::PERM) => (open(SocketType::RAW)?, true),
        Err(error) => return Err(error.into()),
    };
    connect(&socket, &SocketAddr::new(target.ip(), 0))?;
    arrival::stamp(&socket)?;
    // Only send and receive are used, which are the same for every datagram socket.
    // A raw IPv6 socket passes what follows the header.
    let has_ip_header = raw && target.is_ipv4();
    Ok((socket.into(), Icmp { types, has_ip_header, token: now_ns() }))
}

/// Starts to probe a flow by ICMP echo.
pub(crate) fn start(flow: FlowSpec, target: SocketAddr, recorder: Recorder) -> Result<OnDue, ClientError> {
    let doing = "open an ICMP socket; its container needs the capability NET_RAW";
    let (socket, icmp) = open(target).map_err(|source| ClientError::System { doing, source })?;
    Ok(Box::new(packet::prober(flow, socket, icmp, recorder)))
}

impl Datagrams for Icmp {
    fn request(&self, seq: u32) -> Vec<u8> {
        let [.., high, low] = seq.to_be_bytes();
        let [.., id_high, id_low] = self.token.to_be_bytes();
        let mut echo = vec![self.types[0], 0, 0, 0, id_high, id_low, high, low];
        echo.extend(self.token.to_be_bytes());
        echo.extend(seq.to_be_bytes());
        // For ICMPv6 the kernel writes the checksum, which covers the addresses.
        let sum = checksum(&echo).to_be_bytes();
        echo[2..4].copy_from_slice(&sum);
        echo
    }

    fn answer(&self, bytes: &[u8]) -> Option<u32> {
        let ip_header = if self.has_ip_header { usize::from(bytes.first()? & 0x0f) * 4 } else { 0 };
        let echo = bytes.get(ip_header..)?;
        let carried = (*echo.first()? == self.types[1]).then(|| echo.get(HEADER..))??;
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
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    fn raw(token: u64) -> Icmp {
        Icmp { types: ECHO, has_ip_header: true, token }
    }

    /// The answer to probe 70,000 of the socket with this token, as a raw socket hands it over.
    fn reply(kind: u8, token: u64) -> Vec<u8> {
        let mut bytes = vec![0x45; 20];
        bytes.extend(raw(token).request(70_000));
        bytes[20] = kind;
        bytes
    }

    #[rstest]
    #[case::ours(reply(ECHO[1], 7), Some(70_000))]
    #[case::of_another_socket(reply(ECHO[1], 8), None)]
    #[case::a_request_to_us(reply(ECHO[0], 7), None)]
    #[case::cut_short(reply(ECHO[1], 7)[..39].to_vec(), None)]
    #[case::empty(Vec::new(), None)]
    fn answers(#[case] bytes: Vec<u8>, #[case] seq: Option<u32>) {
        assert_eq!(raw(7).answer(&bytes), seq);
    }

    #[test]
    fn the_sum_over_a_whole_message_is_nothing() {
        assert_eq!(checksum(&raw(0x1234_5678_9abc_def1).request(99_999)), 0);
    }

    #[rstest]
    #[case::v4(Ipv4Addr::LOCALHOST.into())]
    #[case::v6(Ipv6Addr::LOCALHOST.into())]
    fn this_host_answers(#[case] address: IpAddr) {
        let (socket, icmp) = open(SocketAddr::new(address, 0)).unwrap();
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send(&icmp.request(70_000)).unwrap();
        // A raw socket sees the request to this host as well.
        let mut bytes = [0; 128];
        let answered = (0..2).any(|_| {
            let length = socket.recv(&mut bytes).unwrap();
            icmp.answer(&bytes[..length]) == Some(70_000)
        });
        assert!(answered);
    }
}
