//! DNS and ICMP: answers of every sort, and none.

use std::net::Ipv4Addr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use rstest::rstest;

use super::*;
use crate::flow::Query;

const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 96, 7, 7);

/// What a DNS server says to every question.
#[derive(Clone, Copy)]
enum Says {
    Address(Ipv4Addr),
    Code(ResponseCode),
    Nothing,
}

impl Says {
    fn answer(self, question: &[u8]) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).unwrap();
        let asked = question.queries[0].clone();
        assert_eq!(asked.name().to_ascii(), "servers.seatrial-7.svc.cluster.local.");
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        match self {
            Self::Address(address) => {
                answer.add_answer(Record::from_rdata(asked.name().clone(), 5, RData::A(A(address))));
            }
            Self::Code(code) => answer.metadata.response_code = code,
            Self::Nothing => return None,
        }
        Some(answer.to_vec().unwrap())
    }

    async fn over_udp(self, port: u16) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let (mut bytes, mut last) = ([0; 512], None);
        loop {
            let (length, client) = socket.recv_from(&mut bytes).await.unwrap();
            assert_ne!(last.replace(client), Some(client), "each question has a port of its own");
            if let Some(answer) = self.answer(&bytes[..length]) {
                socket.send_to(&answer, client).await.unwrap();
            }
        }
    }

    async fn over_tcp(self, port: u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let mut unanswered = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut question).await.unwrap();
            match self.answer(&question) {
                Some(answer) => {
                    stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
                None => unanswered.push(stream),
            }
        }
    }
}

#[rstest]
#[case::right(Some(Says::Address(RIGHT)), Class::Answered)]
#[case::wrong_address(Some(Says::Address(Ipv4Addr::LOCALHOST)), Class::WrongAnswer)]
#[case::no_such_name(Some(Says::Code(ResponseCode::NXDomain)), Class::Rcode(3))]
#[case::server_failed(Some(Says::Code(ResponseCode::ServFail)), Class::Rcode(2))]
#[case::silent(Some(Says::Nothing), Class::Lost)]
#[case::refused(None, Class::Refused)]
#[tokio::test]
async fn dns_answers_are_told_apart(
    #[case] says: Option<Says>,
    #[case] expected: Class,
    #[values(Protocol::Udp, Protocol::Tcp)] protocol: Protocol,
) {
    let ports = Ports::free();
    let port = if protocol == Protocol::Udp { ports.udp } else { ports.tcp };
    let double = says.map(|says| match protocol {
        Protocol::Udp => tokio::spawn(says.over_udp(port)),
        _ => tokio::spawn(says.over_tcp(port)),
    });
    let query = Query { name: "servers.seatrial-7.svc.cluster.local.".into(), address: Some(RIGHT.into()) };
    let flow = FlowSpec { port, query: Some(query), ..flow::tests::flow(Kind::Dns, protocol, Layer::L4) };
    let measured = measure(vec![flow], pass(800)).await;
    if let Some(double) = double {
        assert!(!double.is_finished(), "the double met something that it does not expect");
        double.abort();
    }
    assert_eq!(measured[0].fault, None);
    let samples = &measured[0].samples;
    assert!(samples.len() >= 30, "{} probes decided", samples.len());
    // A busy machine makes a right answer late; it never makes it another.
    let same = |class: Class| class == expected || (expected.is_answer() && class == Class::Slow);
    let other: Vec<_> = samples.iter().filter(|sample| !same(sample.class)).collect();
    assert!(other.is_empty(), "{} of {}: {:?}", other.len(), samples.len(), other.first());
}

/// Needs `net.ipv4.ping_group_range` to let us, as distributions do, or root.
#[tokio::test]
async fn the_kernel_answers_icmp() {
    let flow = flow::tests::flow(Kind::Packet, Protocol::Icmp, Layer::L3);
    let measured = measure(vec![flow.clone(), FlowSpec { id: "second".into(), ..flow }], pass(600)).await;
    for samples in &measured {
        assert!(samples.samples.len() >= 30, "{} probes decided", samples.samples.len());
        assert_eq!(outages(&samples.flow, &samples.samples, &Noise::default()), []);
    }
}

#[rstest]
#[case::dns_without_a_name(Kind::Dns, Protocol::Udp, "it has no name to query")]
#[case::held_icmp(Kind::Held, Protocol::Icmp, "its kind does not support its protocol")]
#[case::pods_are_made_by_the_harness(Kind::Pod, Protocol::Tcp, "its kind does not support its protocol")]
fn what_cannot_be_probed_is_refused(#[case] kind: Kind, #[case] protocol: Protocol, #[case] why: &str) {
    let flow = flow::tests::flow(kind, protocol, Layer::L4);
    let error = prober::run(vec![flow], io::sink(), pending()).unwrap_err().to_string();
    assert!(error.ends_with(why), "{error}");
}
