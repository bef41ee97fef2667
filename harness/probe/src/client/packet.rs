//! Datagrams that are echoed, each numbered, none repeated.
//!
//! The kernel notes when an answer arrives, so nobody waits for one: answers are read when the next probe of the flow is
//! due. To be woken for each would cost as much processor time as all the rest of a probe.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::recorder::{Probe, Recorder};
use super::{Due, arrival};
use crate::clock::now_ns;
use crate::exchange::{LONGEST, NUMBER};
use crate::flow::FlowSpec;
use crate::sample::Class;

/// How numbers travel in datagrams and back.
pub(super) trait Datagrams: 'static {
    /// Writes a request.
    fn request(&self, seq: u32) -> Vec<u8>;
    /// Reads the number out of an answer; `None` when it answers no request of ours.
    fn answer(&self, bytes: &[u8]) -> Option<u32>;
}

/// UDP echo: the number, and zeros up to a size.
pub(super) struct Udp {
    /// Bytes of a datagram; one is never shorter than its number.
    pub(super) bytes: usize,
}

impl Datagrams for Udp {
    fn request(&self, seq: u32) -> Vec<u8> {
        let mut datagram = Vec::from(seq.to_be_bytes());
        datagram.resize(self.bytes.max(NUMBER), 0);
        datagram
    }

    fn answer(&self, bytes: &[u8]) -> Option<u32> {
        let seq = u32::from_be_bytes(*bytes.first_chunk()?);
        (bytes.len() == self.bytes.max(NUMBER)).then_some(seq)
    }
}

/// Opens a UDP socket that talks to `target` alone, and notes when each datagram arrives.
pub(super) fn open(target: SocketAddr) -> io::Result<UdpSocket> {
    let socket = connected(target)?;
    arrival::stamp(&socket)?;
    Ok(socket)
}

/// Opens a UDP socket that talks to `target` alone and never blocks.
pub(super) fn connected(target: SocketAddr) -> io::Result<UdpSocket> {
    let local: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    socket.connect(target)?;
    Ok(socket)
}

/// Returns what sends a probe that is due, after it has recorded what came back for those before.
pub(super) fn prober<D: Datagrams>(
    flow: FlowSpec,
    socket: UdpSocket,
    datagrams: D,
    recorder: Recorder,
) -> impl FnMut(Due) + 'static {
    let mut packets = Packets { flow, datagrams, recorder, pending: VecDeque::new() };
    let mut answer = [0u8; LONGEST];
    move |due| {
        packets.receive(&socket, &mut answer);
        // Nothing is left to receive: what is still out has not been answered.
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
            Err(error) => self.recorder.ended(&probe, Class::of_error(&error)),
        }
    }

    /// Reads answers as long as any is out. One that comes after its deadline lies there until others are out.
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
        // Neither pending nor expected: late beyond its deadline, or a duplicate. Both are decided already.
        if let Some(probe) = position.and_then(|position| self.pending.remove(position)) {
            self.recorder.answered_at(&self.flow, &probe, at_ns);
        }
    }

    /// An ICMP error names no datagram: it is about the newest one that is out.
    fn failed(&mut self, error: &io::Error) {
        if let Some(probe) = self.pending.pop_back() {
            self.recorder.ended(&probe, Class::of_error(error));
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
    #[case::shortest(0, 4)]
    #[case::over_the_mtu_of_a_tunnel(1_450, 1_450)]
    fn a_datagram_has_its_size_and_only_a_whole_one_is_an_answer(
        #[case] bytes: usize,
        #[case] length: usize,
    ) {
        let udp = Udp { bytes };
        let datagram = udp.request(70_000);
        assert_eq!((datagram.len(), udp.answer(&datagram)), (length, Some(70_000)));
        assert_eq!(udp.answer(&datagram[..length - 1]), None);
        assert_eq!(udp.answer(&[&datagram[..], &[0]].concat()), None);
    }
}
