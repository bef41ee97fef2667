//! The agreement between probers and servers: names of ports, and the content of requests and answers.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::str::FromStr;

use model::Protocol;
use serde::{Deserialize, Serialize};

/// Bytes of the number at the start of a datagram or of a frame in a stream.
pub(crate) const NUMBER: usize = 4;
/// Bytes of the token that follows the number of a datagram.
const TOKEN: usize = 8;
/// Bytes of the shortest datagram.
pub(crate) const SHORTEST: usize = NUMBER + TOKEN;
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

/// The token of a run, 16 hexadecimal digits: a server answers datagrams with it, and no others.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Token([u8; TOKEN]);

/// A text that is not a token.
#[derive(Debug, thiserror::Error)]
#[error("a token is 16 hexadecimal digits")]
pub struct TokenError;

impl Token {
    /// Returns a token that nobody can guess.
    #[must_use]
    pub fn random() -> Self {
        // The keys of the hash come from the operating system.
        Self(RandomState::new().hash_one(std::process::id()).to_be_bytes())
    }

    /// Returns the request with this number, of the shortest length.
    pub(crate) fn request(self, number: u32) -> Vec<u8> {
        [&number.to_be_bytes()[..], &self.0].concat()
    }

    /// Turns a request into its answer: of the same length, and without the token, so that no server takes it for a
    /// request. Returns whether it was a request with this token.
    pub(crate) fn answer(self, datagram: &mut [u8]) -> bool {
        match datagram.get_mut(NUMBER..SHORTEST) {
            Some(token) if *token == self.0 => {
                token.fill(0);
                true
            }
            _ => false,
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hides the token, so that it is not logged.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let digits = text.len() == 2 * TOKEN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits).ok_or(TokenError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.to_string()
    }
}

impl TryFrom<String> for Token {
    type Error = TokenError;

    fn try_from(text: String) -> Result<Self, TokenError> {
        text.parse()
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

    #[test]
    fn tokens_are_random_and_survive_their_text_form() {
        let token = Token::random();
        assert_ne!(token, Token::random());
        assert_eq!(token.to_string().parse::<Token>().ok(), Some(token));
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[rstest]
    #[case::short("0123456789abcde")]
    #[case::long("0123456789abcdef0")]
    #[case::sign("+123456789abcdef")]
    #[case::words("no such token...")]
    fn other_texts_are_no_token(#[case] text: &str) {
        assert!(text.parse::<Token>().is_err());
    }

    #[test]
    fn only_a_request_with_the_token_becomes_an_answer_and_an_answer_is_no_request() {
        let token = Token::random();
        let mut request = token.request(70_000);
        request.resize(1_450, 1);
        let before = request.clone();
        assert!(token.answer(&mut request));
        assert_eq!((request.len(), &request[..NUMBER]), (before.len(), &before[..NUMBER]));
        assert!(!token.answer(&mut request), "an answer is answered");
        for length in 0..SHORTEST {
            assert!(!token.answer(&mut before[..length].to_vec()), "{length} bytes are answered");
        }
        assert!(!token.answer(&mut Token::random().request(70_000)), "another token is answered");
        assert!(!token.answer(&mut [0; 64]));
    }
}
