//! Echoed datagrams, each numbered, none repeated.
//!
//! The kernel stamps an answer when it arrives, so the prober does not wait for it: answers are read when the next probe
//! of the flow is due. A wake-up for each would cost as much processor time as all the rest of a probe.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use model::Class;

use super::recorder::{Probe, Recorder};
use super::{ClientError, Due, OnDue, arrival, failure};
use crate::clock::now_ns;
use crate::exchange::{LONGEST, SHORTEST, Token};
use crate::flow::FlowSpec;

/// How datagrams carry the number of a probe.
pub(crate) trait Datagrams: 'static {
    /// Writes a request.
    fn request(&self, seq: u32) -> Vec<u8>;
    /// Reads the number of an answer; `None` when it belongs to no request of this socket.
    fn answer(&self, bytes: &[u8]) -> Option<u32>;
}

/// UDP echo: the number and the token, then zeros up to a size.
struct Udp {
    /// Bytes of a datagram; one is never shorter than its number and the token.
    bytes: usize,
    token: Token,
}

impl Datagrams for Udp {
    fn request(&self, seq: u32) -> Vec<u8> {
        let mut datagram = self.token.request(seq);
        datagram.resize(self.bytes.max(SHORTEST), 0);
        datagram
    }

    fn answer(&self, bytes: &[u8]) -> Option<u32> {
        let seq = u32::from_be_bytes(*bytes.first_chunk()?);
        (bytes.len() == self.bytes.max(SHORTEST)).then_some(seq)
    }
}

/// Opens a UDP socket connected to `target` that stamps datagrams when they arrive.
fn open(target: SocketAddr) -> io::Result<UdpSocket> {
    let socket = connected(target)?;
    arrival::stamp(&socket)?;
    Ok(socket)
}

/// Opens a non-blocking UDP socket connected to `target`.
pub(crate) fn connected(target: SocketAddr) -> io::Result<UdpSocket> {
    let local: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    socket.connect(target)?;
    Ok(socket)
}

/// Starts to probe a flow by UDP echo.
pub(crate) fn udp(flow: FlowSpec, target: SocketAddr, recorder: Recorder) -> Result<OnDue, ClientError> {
    let Some(token) = flow.token else { return Err(ClientError::flow(&flow, "it has no token")) };
    let socket = open(target).map_err(|source| ClientError::System { doing: "open a UDP socket", source })?;
    let datagrams = Udp { bytes: flow.bytes.into(), token };
    Ok(Box::new(prober(flow, socket, datagrams, recorder)))
}

/// Returns a function that records the answers to earlier probes and then sends the one that is due.
pub(crate) fn prober<D: Datagrams>(
    flow: FlowSpec,
    socket: UdpSocket,
    datagrams: D,
    recorder: Recorder,
) -> impl FnMut(Due) + 'static {
    let mut packets = Packets { flow, datagrams, recorder, pending: VecDeque::new() };
    let mut answer = [0u8; LONGEST];
    move |due| {
        packets.receive(&socket, &mut answer);
        // All answers are read: probes that are still pending have none.
        packets.expire();
        packets.send(&socket, due);
    }
}

struct Packets<D> {
    flow: FlowSpec,
    datagrams: D,
    recorder: Recorder,
    pending: VecDeque<Probe>,
}

impl<D: Datagrams> Packets<D> {
    fn send(&mut self, socket: &UdpSocket, due: Due) {
        let probe = Probe::begin(due);
        if self.recorder.missed(&self.flow, &probe) {
            return;
        }
        let (probe, request) = (probe.sent(), self.datagrams.request(due.seq));
        let mut result = socket.send(&request);
        // The kernel reports the ICMP error of an earlier datagram here, instead of sending.
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            self.failed(error);
            result = socket.send(&request);
        }
        match result {
            Ok(_) => self.pending.push_back(probe),
            Err(error) => self.recorder.ended(&probe, failure::class_of(&error)),
        }
    }

    /// Reads answers while probes are pending. An answer after the deadline stays in the socket until then.
    fn receive(&mut self, socket: &UdpSocket, answer: &mut [u8]) {
        while !self.pending.is_empty() {
            match arrival::receive(socket, answer) {
                Ok((length, at_ns)) => self.answered(&answer[..length], at_ns),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.failed(&error),
            }
        }
    }

    fn answered(&mut self, answer: &[u8], at_ns: u64) {
        let seq = self.datagrams.answer(answer);
        let position = self.pending.iter().position(|probe| Some(probe.seq) == seq);
        // An answer to no pending probe came after its deadline, or twice: the probe is decided already.
        if let Some(probe) = position.and_then(|position| self.pending.remove(position)) {
            self.recorder.answered_at(&self.flow, &probe, at_ns);
        }
    }

    /// An ICMP error names no datagram: it is taken for the newest pending one.
    fn failed(&mut self, error: &io::Error) {
        if let Some(probe) = self.pending.pop_back() {
            self.recorder.ended(&probe, failure::class_of(error));
        }
    }

    fn expire(&mut self) {
        let now = now_ns();
        while let Some(probe) = self.pending.pop_front_if(|probe| probe.is_overdue(&self.flow, now)) {
            self.recorder.silent(&probe, Class::Lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::shortest(0, 12)]
    #[case::over_the_mtu_of_a_tunnel(1_450, 1_450)]
    fn a_datagram_has_its_size_and_only_a_whole_one_is_an_answer(
        #[case] bytes: usize,
        #[case] length: usize,
    ) {
        let udp = Udp { bytes, token: Token::random() };
        let datagram = udp.request(70_000);
        assert_eq!((datagram.len(), udp.answer(&datagram)), (length, Some(70_000)));
        assert_eq!(udp.answer(&datagram[..length - 1]), None);
        assert_eq!(udp.answer(&[&datagram[..], &[0]].concat()), None);
    }
}
