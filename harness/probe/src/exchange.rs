//! The agreement between probers and servers: names of ports, and the content of requests and answers.

use std::fmt;
use std::str::FromStr;

use model::Protocol;
use serde::{Deserialize, Serialize};

/// Bytes of the number at the start of a datagram or of a frame in a stream.
pub(crate) const NUMBER: usize = 4;
/// Bytes of the longest datagram.
pub(crate) const LONGEST: usize = 2_048;

/// The request header whose value is the body of the right answer.
pub(crate) const TOKEN_HEADER: &str = "x-seatrial-probe";
/// The path that policies grant.
pub(crate) const PUBLIC_PATH: &str = "/public";
/// The path that no policy grants; the server would answer it.
pub(crate) const PRIVATE_PATH: &str = "/private";

/// A port that a server listens on, written `udp:7000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Listener {
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
}

/// A text that is not a listener.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a listener; write protocol:port, such as udp:7000, tcp:7001 or http:8080")]
pub struct ListenerError(String);

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol, self.port)
    }
}

impl FromStr for Listener {
    type Err = ListenerError;

    fn from_str(text: &str) -> Result<Self, ListenerError> {
        let parse = || {
            let (protocol, port) = text.split_once(':')?;
            // ICMP has no ports.
            let protocol = protocol.parse().ok().filter(|protocol| *protocol != Protocol::Icmp)?;
            Some(Self { protocol, port: port.parse().ok()? })
        };
        parse().ok_or_else(|| ListenerError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::udp("udp:7000", Some(Listener { protocol: Protocol::Udp, port: 7000 }))]
    #[case::http("http:80", Some(Listener { protocol: Protocol::Http, port: 80 }))]
    #[case::http2("http2:81", Some(Listener { protocol: Protocol::Http2, port: 81 }))]
    #[case::no_port("tcp", None)]
    #[case::unknown("sctp:1", None)]
    fn listeners(#[case] text: &str, #[case] expected: Option<Listener>) {
        assert_eq!(text.parse::<Listener>().ok(), expected);
        if let Some(listener) = expected {
            assert_eq!(listener.to_string(), text);
        }
    }
}
