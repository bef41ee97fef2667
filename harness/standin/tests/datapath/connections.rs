//! What becomes of connections that a node no longer tracks, or has no room for.

use std::io::ErrorKind;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use rstest::rstest;

use super::lab::{Lab, NEAR, REMOTE, SERVICE};
use super::traffic::{HELD, answer, connect, get, release_answer, request, send, wait_until_acknowledged};
use super::{l4, l7};
use crate::behaviour::Behaviours;
use crate::behaviour::connection_table::UnknownTcp;
use crate::datapath::events::{Queue, Reason};

#[rstest]
#[case::same_node(NEAR)]
#[case::other_node(REMOTE)]
fn a_connection_that_is_no_longer_tracked_is_picked_up_or_refused(#[case] server: SocketAddrV4) {
    let mut lab = Lab::new();
    lab.program(&[l4()]);
    let mut held = lab.client.run(|| connect(server)).unwrap();
    assert_eq!(request(&mut held, "/").unwrap().0, 200);
    lab.forget_tcp();
    assert_eq!(request(&mut held, "/").unwrap().0, 200);

    lab.unknown_tcp = UnknownTcp::Refuse;
    lab.program(&[l4()]);
    assert_eq!(request(&mut held, "/").unwrap().0, 200, "it is tracked again");
    lab.forget_tcp();
    assert!(request(&mut held, "/").is_err(), "the table does not know it");
    assert_eq!(lab.client.run(|| get(server, "/").unwrap().0), 200);
}

#[test]
fn a_service_connection_that_is_no_longer_tracked_is_refused_from_the_services_address() {
    let mut lab = Lab::new();
    lab.unknown_tcp = UnknownTcp::Refuse;
    lab.program(&[]);
    let mut held = lab.client.run(|| connect(SERVICE)).unwrap();
    assert_eq!(request(&mut held, "/").unwrap().0, 200);
    lab.forget_tcp();
    let cut = request(&mut held, "/").unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::ConnectionReset, "{cut}");
}

/// The reset goes to the server, which sends the answer; the client, which has sent all it has, learns nothing.
#[rstest]
#[case::pod(REMOTE)]
#[case::service(SERVICE)]
fn a_client_waits_for_an_answer_that_is_no_longer_tracked(#[case] server: SocketAddrV4) {
    let mut lab = Lab::new();
    lab.unknown_tcp = UnknownTcp::Refuse;
    lab.program(&[]);
    let mut held = lab.client.run(|| connect(server)).unwrap();
    send(&mut held, HELD).unwrap();
    lab.client.run(|| wait_until_acknowledged(&held));
    lab.forget_tcp();
    release_answer();
    let nothing = answer(&mut held).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock, "{nothing}");
    let cut = request(&mut held, "/").unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::ConnectionReset, "{cut}");
}

/// Both have the same backend at the other end, and go on or end by the way that they took there.
#[test]
fn only_connections_through_services_are_forgotten_with_their_maps() {
    let mut lab = Lab::new();
    lab.unknown_tcp = UnknownTcp::Refuse;
    lab.program(&[]);
    let mut direct = lab.client.run(|| connect(REMOTE)).unwrap();
    let mut by_service = lab.client.run(|| connect(SERVICE)).unwrap();
    assert_eq!(request(&mut direct, "/").unwrap().0, 200);
    assert_eq!(request(&mut by_service, "/").unwrap().0, 200);
    lab.forget_service_connections();
    lab.forget_service_connections();
    let cut = request(&mut by_service, "/").unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::ConnectionReset, "{cut}");
    assert_eq!(request(&mut direct, "/").unwrap().0, 200);
    assert_eq!(lab.client.run(|| get(SERVICE, "/").unwrap().0), 200);
}

/// Connections that exist go on, new ones pass again after the dead are collected.
#[test]
fn a_connection_that_finds_no_place_in_the_table_is_dropped() {
    let mut lab = Lab::new();
    let settings = [("standin-kernel", "4.9"), ("bpf-ct-global-tcp-max", "4"), ("standin-gc-speed", "100")];
    let behaviours = Behaviours::of("1.6.12".parse().unwrap()).unwrap();
    let settings = settings.into_iter().collect();
    lab.collection = behaviours.conntrack_gc.on_kernel(behaviours.connection_table, &settings, "").unwrap();
    lab.events = Some(Queue { size: 64 });
    lab.program(&[l4()]);
    // What policy drops takes no place.
    assert!(lab.stranger.run(|| connect(NEAR)).is_err());
    lab.take_events(0);
    let mut held: Vec<_> =
        [NEAR, REMOTE, SERVICE].map(|server| lab.client.run(|| connect(server)).unwrap()).into();
    let ended = lab.client.run(|| connect(SERVICE)).unwrap();
    drop(ended);
    assert_eq!(lab.failed_insertions(), [0, 0]);

    let full = lab.client.run(|| connect(NEAR)).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::TimedOut, "{full}");
    assert!(lab.failed_insertions()[0] > 0);
    let (events, _) = lab.take_events(0);
    assert!(!events.is_empty() && events.iter().all(|it| it.reason == Reason::NoPlace), "{events:?}");
    // Another agent finds the table as it was.
    lab.program(&[l4(), l7()]);
    assert!(lab.client.run(|| connect(REMOTE)).is_err());
    for held in &mut held {
        assert_eq!(request(held, "/").unwrap().0, 200);
    }

    let begun = Instant::now();
    let mut collected = lab.collect();
    while collected.deleted == 0 && begun.elapsed() < Duration::from_secs(5) {
        collected = lab.collect();
    }
    assert_eq!((collected.alive, collected.deleted), (3, 1));
    lab.program(&[]);
    assert_eq!(lab.client.run(|| get(REMOTE, "/").unwrap().0), 200);
    // Where tables make room by themselves, nobody has to find a place.
    assert!(lab.client.run(|| connect(REMOTE)).is_err());
    lab.collection = None;
    lab.program(&[]);
    assert_eq!(lab.client.run(|| get(REMOTE, "/").unwrap().0), 200);
}
