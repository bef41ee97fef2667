//! Replacing the rules of a node while packets flow.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

use rstest::rstest;
use serde_json::json;

use super::l4;
use super::lab::{Lab, REMOTE, SERVICE};
use super::traffic::{PATIENCE, say};

#[rstest]
#[case::pod(SocketAddrV4::new(*REMOTE.ip(), 7000))]
#[case::service(SocketAddrV4::new(*SERVICE.ip(), 7000))]
fn replacing_the_rules_loses_no_packet(#[case] server: SocketAddrV4) {
    let lab = Lab::new();
    lab.program(&[l4()]);
    let done = AtomicBool::new(false);
    let (sent, lost) = std::thread::scope(|scope| {
        let end = AtEnd(&done);
        let probe = scope.spawn(|| lab.client.run(|| ping_until(server, &done)));
        let other = json!({"endpointSelector": {"matchLabels": {"app": "nobody"}}, "ingress": [{}]});
        for round in 0..40 {
            lab.program(if round % 2 == 0 { &[] } else { std::slice::from_ref(&other) });
            lab.program(&[l4()]);
        }
        drop(end);
        probe.join().unwrap()
    });
    assert!(sent > 1000, "only {sent} packets were sent");
    assert_eq!(lost, 0, "of {sent} packets");
}

/// A stranger must not get a single packet through while rules that deny it are replaced by rules that deny it.
#[test]
fn replacing_the_rules_opens_no_hole() {
    let lab = Lab::new();
    lab.program(&[l4()]);
    let server = SocketAddrV4::new(*REMOTE.ip(), 7000);
    let done = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let end = AtEnd(&done);
        let probe = scope.spawn(|| lab.stranger.run(|| flood_until(server, &done)));
        let other = json!({"endpointSelector": {"matchLabels": {"app": "nobody"}}, "ingress": [{}]});
        for _ in 0..40 {
            lab.program(&[l4(), other.clone()]);
            lab.program(&[l4()]);
        }
        drop(end);
        probe.join().unwrap()
    });
    assert_eq!(answers, 0);
}

/// Ends the probe, even if the test fails before.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends one packet after the other; each has to be answered before its deadline.
fn ping_until(server: SocketAddrV4, done: &AtomicBool) -> (u32, u32) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut sent, mut lost) = (0, 0);
    while !done.load(Ordering::SeqCst) {
        sent += 1;
        if say(&socket, sent).is_err() {
            lost += 1;
        }
    }
    (sent, lost)
}

/// Sends one packet after the other, each from a port of its own, so that each is a connection of its own.
fn flood_until(server: SocketAddrV4, done: &AtomicBool) -> u32 {
    let mut sockets = std::collections::VecDeque::new();
    let mut answers = 0;
    while !done.load(Ordering::SeqCst) {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        // A full queue is no reason to stop.
        drop(socket.send_to(b"x", server));
        sockets.push_back(socket);
        if sockets.len() > 64 {
            answers += sockets.pop_front().map_or(0, |it| u32::from(it.recv(&mut [0; 8]).is_ok()));
        }
    }
    answers
}
