//! DNS: one query for each probe, each from its own source port; no cache, no retry.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use model::{Class, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::held::Answer;
use super::{failure, packet, stream};
use crate::flow::{FlowSpec, Query};

/// Longest answer over UDP that is read, bytes; the expected ones have one address.
const LONGEST: usize = 1232;
/// Attempts of a resolver, and the time for each.
const TRIES: u16 = 3;
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends the query of a flow and checks the answer.
pub(crate) async fn ask(flow: Rc<FlowSpec>, target: SocketAddr, seq: u32) -> Result<Answer, Class> {
    let query = flow.query.as_ref().ok_or(Class::Unreachable)?;
    let [.., high, low] = seq.to_be_bytes();
    let id = u16::from_be_bytes([high, low]);
    let question = question(query, id).ok_or(Class::Unreachable)?;
    let answer = match flow.protocol {
        Protocol::Tcp => over_tcp(target, &question).await,
        _ => over_udp(target, &question).await,
    };
    answer.map(|bytes| judge(query, id, &bytes)).map_err(|error| failure::class_of(&error))
}

/// Looks up the addresses of a name as a resolver does: it repeats the query when no answer comes.
pub(crate) async fn look_up(server: SocketAddr, name: &str) -> io::Result<Vec<IpAddr>> {
    let query = Query { name: name.to_owned(), address: None };
    let mut last = io::Error::from(io::ErrorKind::InvalidInput);
    for id in 1..=TRIES {
        let question = question(&query, id).ok_or(io::ErrorKind::InvalidInput)?;
        match timeout(PATIENCE, over_udp(server, &question)).await.map_err(io::Error::from) {
            Ok(Ok(answer)) => {
                let answer = Message::from_vec(&answer).map_err(io::Error::other)?;
                return match answer.metadata.response_code {
                    ResponseCode::NoError => Ok(addresses(&answer)),
                    code => Err(io::Error::other(format!("the answer is {code}"))),
                };
            }
            Ok(Err(error)) | Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns whether a query can be made.
pub(crate) fn can_ask(query: &Query) -> bool {
    question(query, 0).is_some()
}

fn question(query: &Query, id: u16) -> Option<Vec<u8>> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(&query.name).ok()?;
    message.add_query(hickory_proto::op::Query::query(name, RecordType::A));
    message.to_vec().ok()
}

async fn over_udp(target: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::from_std(packet::connected(target)?)?;
    socket.send(question).await?;
    let mut answer = vec![0; LONGEST];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

/// Over TCP, two bytes of length precede a message.
async fn over_tcp(target: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = stream::connect(target).await?;
    stream.set_zero_linger()?;
    let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn judge(query: &Query, id: u16, bytes: &[u8]) -> Answer {
    let Ok(answer) = Message::from_vec(bytes) else { return Answer::Other(Class::WrongAnswer) };
    if answer.metadata.id != id || answer.metadata.message_type != MessageType::Response {
        return Answer::Other(Class::WrongAnswer);
    }
    let addresses = addresses(&answer);
    match answer.metadata.response_code {
        ResponseCode::NoError if addresses == query.address.as_slice() => Answer::Right,
        ResponseCode::NoError => Answer::Other(Class::WrongAnswer),
        code => Answer::Other(Class::Rcode(code.into())),
    }
}

fn addresses(answer: &Message) -> Vec<IpAddr> {
    let address = |record: &Record| match record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        _ => None,
    };
    answer.answers.iter().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::rr::rdata::A;
    use rstest::rstest;

    use super::*;

    const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 96, 1, 2);

    fn answer(id: u16, code: ResponseCode, addresses: &[Ipv4Addr]) -> Vec<u8> {
        let mut message = Message::response(id, OpCode::Query);
        message.metadata.response_code = code;
        for address in addresses {
            let name = Name::from_ascii("web.ns.svc.cluster.local.").unwrap();
            message.add_answer(Record::from_rdata(name, 5, RData::A(A(*address))));
        }
        message.to_vec().unwrap()
    }

    #[rstest]
    #[case::right(answer(7, ResponseCode::NoError, &[RIGHT]), Answer::Right)]
    #[case::other_address(
        answer(7, ResponseCode::NoError, &[Ipv4Addr::LOCALHOST]),
        Answer::Other(Class::WrongAnswer)
    )]
    #[case::one_too_many(
        answer(7, ResponseCode::NoError, &[RIGHT, Ipv4Addr::LOCALHOST]),
        Answer::Other(Class::WrongAnswer)
    )]
    #[case::no_address(answer(7, ResponseCode::NoError, &[]), Answer::Other(Class::WrongAnswer))]
    #[case::other_question(answer(8, ResponseCode::NoError, &[RIGHT]), Answer::Other(Class::WrongAnswer))]
    #[case::no_such_name(answer(7, ResponseCode::NXDomain, &[]), Answer::Other(Class::Rcode(3)))]
    #[case::server_failed(answer(7, ResponseCode::ServFail, &[]), Answer::Other(Class::Rcode(2)))]
    #[case::garbage(vec![1, 2, 3], Answer::Other(Class::WrongAnswer))]
    fn judged(#[case] bytes: Vec<u8>, #[case] expected: Answer) {
        let query = Query { name: "web.ns.svc.cluster.local.".into(), address: Some(RIGHT.into()) };
        assert_eq!(judge(&query, 7, &bytes), expected);
    }

    #[tokio::test]
    async fn a_look_up_tells_addresses_and_refusals() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serve = async {
            let mut bytes = [0; LONGEST];
            for (id, code) in [(1, ResponseCode::NoError), (1, ResponseCode::Refused)] {
                let (_, client) = server.recv_from(&mut bytes).await.unwrap();
                server.send_to(&answer(id, code, &[RIGHT]), client).await.unwrap();
            }
        };
        let look_ups = async { (look_up(address, "a.b.").await, look_up(address, "a.b.").await) };
        let ((found, refused), ()) = tokio::join!(look_ups, serve);
        assert_eq!(found.unwrap(), [IpAddr::from(RIGHT)]);
        assert!(refused.is_err());
    }
}
