//! The source ports of connections, used in turn.
//!
//! A kernel may give one source port to two connections if their destination addresses differ. A connection to a Service
//! and one to its backend have the same destination after translation: the datapath then has two connections with the same
//! addresses and ports, and may mix up their packets. Here no port is reused before all others were used, when connection
//! tracking has timed it out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::{TcpSocket, TcpStream};

use crate::clock;

/// The kernel's range of ports for outgoing connections.
const RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// The kernel's default range.
const RANGE: RangeInclusive<u16> = 32768..=60999;

static PORTS: LazyLock<Ports> = LazyLock::new(|| {
    let range = std::fs::read_to_string(RANGE_FILE).ok().and_then(|text| parse(&text)).unwrap_or(RANGE);
    Ports::new(range, clock::now_ns())
});

/// Opens a TCP connection from the next port that is free.
pub(crate) async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    bind(target.ip(), &PORTS)?.connect(target).await
}

fn bind(target: IpAddr, ports: &Ports) -> io::Result<TcpSocket> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for _ in 0..ports.count {
        let (socket, any) = match target {
            IpAddr::V4(_) => (TcpSocket::new_v4()?, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
            IpAddr::V6(_) => (TcpSocket::new_v6()?, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        };
        match socket.bind((any, ports.take()).into()) {
            Ok(()) => return Ok(socket),
            // The port is in use, or was a moment ago.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// A range of ports, and the next one.
struct Ports {
    first: u16,
    count: u32,
    turn: AtomicU32,
}

impl Ports {
    /// Begins at a port given by `chance`: a restarted prober must not reuse the connections of the previous one.
    fn new(range: RangeInclusive<u16>, chance: u64) -> Self {
        let count = u32::from(range.end().saturating_sub(*range.start())) + 1;
        let turn = u32::try_from(chance % u64::from(count)).unwrap_or_default();
        Self { first: *range.start(), count, turn: turn.into() }
    }

    fn take(&self) -> u16 {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.count;
        self.first.saturating_add(u16::try_from(turn).unwrap_or_default())
    }
}

fn parse(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace().map(str::parse);
    match (words.next()?, words.next()?) {
        (Ok(first), Ok(last)) if first <= last => Some(first..=last),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;
    use tokio::net::TcpListener;

    use super::*;

    #[rstest]
    #[case::of_the_kernel("32768\t60999\n", Some(32768..=60999))]
    #[case::one_port("40000 40000", Some(40000..=40000))]
    #[case::backwards("2 1", None)]
    #[case::no_numbers("a b", None)]
    #[case::empty("", None)]
    fn the_range_is_read(#[case] text: &str, #[case] expected: Option<RangeInclusive<u16>>) {
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn ports_are_taken_in_turn_and_then_again() {
        let ports = Ports::new(10..=12, 2);
        let taken: Vec<u16> = (0..5).map(|_| ports.take()).collect();
        assert_eq!(taken, [12, 10, 11, 12, 10]);
    }

    #[tokio::test]
    async fn connections_to_different_addresses_have_different_ports() {
        let mut ports = BTreeSet::new();
        for last in 1..=5 {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 0)).await.unwrap();
            let target = listener.local_addr().unwrap();
            for _ in 0..1500 {
                let (ours, theirs) = tokio::join!(connect(target), listener.accept());
                let (ours, _theirs) = (ours.unwrap(), theirs.unwrap());
                ours.set_zero_linger().unwrap();
                let port = ours.local_addr().unwrap().port();
                assert!(ports.insert(port), "{port} was used twice");
            }
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_left_out() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(Ipv4Addr::LOCALHOST.into(), &Ports::new(port..=port, 0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        bind(Ipv4Addr::LOCALHOST.into(), &Ports::new(port..=port + 20, 0)).unwrap();
    }
}
