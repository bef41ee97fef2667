//! What a server answers to those who are not part of the run, and on which addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use model::{Kind, Layer, Protocol};
use rstest::rstest;
use tokio::sync::oneshot;

use super::{Ports, Running, measure, pass};
use crate::exchange::{Listener, Token};
use crate::flow;
use crate::flow::FlowSpec;
use crate::server::{self, ServerError, Serving};

/// How long a test waits for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(300);

/// Another address of this host.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Sends a datagram to the server, and returns the answer.
fn answer(to: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket.send_to(datagram, to).unwrap();
    let mut answer = [0u8; 65_536];
    let length = socket.recv(&mut answer).ok()?;
    Some(answer[..length].to_vec())
}

fn token() -> Token {
    flow::tests::TOKEN.parse().unwrap()
}

#[rstest]
#[case::nothing(vec![])]
#[case::a_byte(vec![0])]
#[case::a_number(vec![0, 0, 0, 7])]
#[case::a_number_and_zeros(vec![0; 12])]
#[case::half_a_token(token().request(7)[..8].to_vec())]
#[case::another_token(Token::random().request(7))]
#[case::the_token_elsewhere([vec![0; 12], token().request(7)].concat())]
#[case::large(vec![7; 1_450])]
#[tokio::test]
async fn a_datagram_without_the_token_is_not_answered(#[case] datagram: Vec<u8>) {
    let ports = Ports::free();
    let running = Running::start(ports).await;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.udp));
    assert_eq!(answer(server, &datagram), None);
    running.stop();
}

#[rstest]
#[case::shortest(12)]
#[case::small(64)]
#[case::over_the_mtu_of_a_tunnel(1_450)]
#[case::longer_than_any_probe(9_000)]
#[tokio::test]
async fn an_answer_is_never_larger_than_its_request_and_is_no_request(#[case] length: usize) {
    let ports = Ports::free();
    let running = Running::start(ports).await;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.udp));
    let mut request = token().request(7);
    request.resize(length, 1);
    let answered = answer(server, &request).unwrap();
    assert!(answered.len() <= request.len(), "{} bytes", answered.len());
    assert_eq!(answer(server, &answered), None, "two servers could answer each other for ever");
    running.stop();
}

/// A hole in a policy is seen only if the server would answer.
#[tokio::test]
async fn a_flow_that_must_be_blocked_is_answered_where_nothing_blocks_it() {
    let ports = Ports::free();
    let running = Running::start(ports).await;
    let denied = flow::tests::flow(Kind::Deny, Protocol::Udp, Layer::Policy);
    let samples = measure(vec![FlowSpec { port: ports.udp, ..denied }], pass(500)).await;
    running.stop();
    let first = samples[0].samples.first().unwrap();
    assert!(first.class.is_answer(), "{}", first.class);
}

#[tokio::test]
async fn a_server_listens_only_where_it_is_told() {
    let ports = Ports::free();
    let listeners = [(Protocol::Udp, ports.udp), (Protocol::Tcp, ports.tcp)];
    let serving = Serving {
        listen_on: Some(IpAddr::V4(ELSEWHERE)),
        token: Some(token()),
        listeners: listeners.map(|(protocol, port)| Listener { protocol, port }).to_vec(),
        ..Serving::default()
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::spawn(move || server::run(&serving, async { drop(stopped.await) }).unwrap());
    while tokio::net::TcpStream::connect((ELSEWHERE, ports.tcp)).await.is_err() {
        assert!(!thread.is_finished(), "the server ended");
        tokio::task::yield_now().await;
    }
    let (there, here) = (SocketAddr::from((ELSEWHERE, ports.udp)), (Ipv4Addr::LOCALHOST, ports.udp));
    let request = token().request(7);
    assert!(answer(there, &request).is_some());
    assert_eq!(answer(here.into(), &request), None);
    let elsewhere = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, ports.tcp)).await;
    assert!(elsewhere.is_err(), "it listens on every address");
    stop.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_server_without_a_token_refuses_to_answer_datagrams() {
    let listener = Listener { protocol: Protocol::Udp, port: Ports::free().udp };
    let serving = Serving { listeners: vec![listener], ..Serving::default() };
    let error = server::run(&serving, std::future::ready(())).unwrap_err();
    assert!(matches!(error, ServerError::NoToken(_)), "{error}");
}
