//! Questions to the DNS and their answers: IPv4 addresses over UDP, and nothing else.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer that is read, in bytes.
pub(crate) const LONGEST: usize = 4096;
const PORT: u16 = 53;

/// The addresses of a name in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The queried name.
    pub(crate) name: String,
    /// Its addresses.
    pub(crate) ips: Vec<Ipv4Addr>,
    /// The shortest time for which one of them counts, seconds.
    pub(crate) ttl: u32,
}

/// Returns the name that a message queries.
pub(crate) fn asked(message: &[u8]) -> Option<String> {
    let message = Message::from_vec(message).ok()?;
    Some(message.queries.first()?.name().to_ascii())
}

/// Parses a successful answer; `None` for any other.
pub(crate) fn answered(message: &[u8]) -> Option<Lookup> {
    let message = Message::from_vec(message).ok()?;
    if message.metadata.response_code != ResponseCode::NoError {
        return None;
    }
    let name = message.queries.first()?.name().to_ascii();
    let address = |record: &hickory_proto::rr::Record| match record.data {
        RData::A(address) => Some((address.0, record.ttl)),
        _ => None,
    };
    let found: Vec<_> = message.answers.iter().filter_map(address).collect();
    let ttl = found.iter().map(|(_, ttl)| *ttl).min()?;
    Some(Lookup { name, ips: found.into_iter().map(|(ip, _)| ip).collect(), ttl })
}

/// The answer to a question that is not allowed.
pub(crate) fn refusal(question: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.response_code = ResponseCode::Refused;
    question.queries.first().map(|query| answer.add_query(query.clone()));
    answer.to_vec().ok()
}

/// The first name server of a `resolv.conf`.
pub(crate) fn name_server(path: &Path) -> io::Result<SocketAddr> {
    let text = std::fs::read_to_string(path)?;
    let server =
        text.lines().find_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse::<Ipv4Addr>().ok());
    let none = || io::Error::new(io::ErrorKind::NotFound, "it names no name server with an IPv4 address");
    Ok(SocketAddr::from((server.ok_or_else(none)?, PORT)))
}

/// Resolves a name; `None` if it has no addresses.
pub(crate) async fn ask(server: SocketAddr, name: &str, id: u16) -> io::Result<Option<Lookup>> {
    let name = Name::from_ascii(name).map_err(io::Error::other)?;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, RecordType::A));
    let question = message.to_vec().map_err(io::Error::other)?;
    Ok(answered(&forward(server, &question).await?))
}

/// Sends a question on, and waits for the answer to it.
pub(crate) async fn forward(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; LONGEST];
    loop {
        let length = timeout(PATIENCE, socket.recv(&mut answer)).await.map_err(io::Error::from)??;
        // The first two bytes identify the query.
        if length > 2 && answer[..2] == question[..2] {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};
    use rstest::rstest;

    fn question() -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii("a.b.").unwrap(), RecordType::A));
        message
    }

    fn answer(code: ResponseCode, records: &[(RData, u32)]) -> Vec<u8> {
        let mut message = Message::response(7, OpCode::Query);
        message.metadata.response_code = code;
        message.add_query(question().queries[0].clone());
        for (data, ttl) in records {
            message.add_answer(Record::from_rdata(Name::from_ascii("a.b.").unwrap(), *ttl, data.clone()));
        }
        message.to_vec().unwrap()
    }

    fn one() -> RData {
        RData::A(A(Ipv4Addr::new(192, 0, 2, 1)))
    }

    #[test]
    fn a_good_answer_names_addresses_and_the_shortest_time() {
        let alias = RData::CNAME(CNAME(Name::from_ascii("c.d.").unwrap()));
        let said = answer(ResponseCode::NoError, &[(alias, 1), (one(), 9), (one(), 5)]);
        let ip = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(answered(&said), Some(Lookup { name: "a.b.".into(), ips: vec![ip, ip], ttl: 5 }));
    }

    #[rstest]
    #[case::no_address(answer(ResponseCode::NoError, &[]))]
    #[case::no_name(answer(ResponseCode::NXDomain, &[(one(), 5)]))]
    #[case::garbage(vec![1, 2, 3])]
    fn other_answers_teach_nothing(#[case] said: Vec<u8>) {
        assert_eq!(answered(&said), None);
    }

    #[test]
    fn a_refusal_answers_the_question() {
        let refused = Message::from_vec(&refusal(&question().to_vec().unwrap()).unwrap()).unwrap();
        assert_eq!((refused.metadata.id, refused.metadata.response_code), (7, ResponseCode::Refused));
        assert_eq!(asked(&refused.to_vec().unwrap()).as_deref(), Some("a.b."));
    }

    #[test]
    fn the_first_server_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, "search x\nnameserver fd00::1\nnameserver 10.96.0.10\nnameserver 10.0.0.1\n")
            .unwrap();
        assert_eq!(name_server(&path).unwrap(), "10.96.0.10:53".parse().unwrap());
        std::fs::write(&path, "search x\n").unwrap();
        assert!(name_server(&path).is_err());
    }

    #[tokio::test]
    async fn a_question_is_asked_and_answered() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serve = async {
            let mut bytes = [0; LONGEST];
            let (_, client) = server.recv_from(&mut bytes).await.unwrap();
            server.send_to(&[0, 1, 2], client).await.unwrap();
            server.send_to(&answer(ResponseCode::NoError, &[(one(), 5)]), client).await.unwrap();
        };
        let (said, ()) = tokio::join!(ask(address, "a.b.", 7), serve);
        assert_eq!(said.unwrap().unwrap().ttl, 5);
    }
}
