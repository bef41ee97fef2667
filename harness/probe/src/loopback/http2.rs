//! HTTP/2: every way in which a request or its connection can end, told apart.

use h2::Reason;
use h2::server::{Connection, SendResponse, handshake};
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use rstest::rstest;

use super::*;
use crate::exchange::TOKEN_HEADER;

/// The requests that a server answers before it does something else.
const GOOD: usize = 20;

/// What a server does with the request after some that it answers.
#[derive(Clone, Copy)]
enum Does {
    /// Says that it takes no more, and closes.
    GoesAway(Reason),
    /// Ends the connection without a word.
    Closes,
    /// Resets the connection.
    Resets,
    /// Resets the request alone.
    ResetsRequest(Reason),
    /// Answers with another status.
    Says(StatusCode),
    /// Answers with what was not asked for.
    Lies,
    /// Nothing.
    Hangs,
}

impl Does {
    /// Serves connections one after the other; only on the first does it something else.
    async fn serve(self, listener: TcpListener) {
        let (stream, _) = listener.accept().await.unwrap();
        if let Self::Resets = self {
            stream.set_zero_linger().unwrap();
        }
        let mut connection = handshake(stream).await.unwrap();
        let mut good = 0;
        let mut kept = Vec::new();
        while let Some(Ok((request, respond))) = connection.accept().await {
            let token = request.headers()[TOKEN_HEADER].as_bytes().to_vec();
            good += 1;
            if good != GOOD {
                say(respond, StatusCode::OK, token);
                continue;
            }
            match self {
                Self::Closes | Self::Resets => break,
                Self::GoesAway(reason) => {
                    connection.abrupt_shutdown(reason);
                    kept.push(respond);
                }
                other => kept.extend(other.answers(respond, token)),
            }
        }
        drop(connection);
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            answer_all(handshake(stream).await.unwrap()).await;
        }
    }

    /// Answers one request otherwise; returns what must stay so that it is not answered at all.
    fn answers(self, mut respond: SendResponse<Bytes>, token: Vec<u8>) -> Option<SendResponse<Bytes>> {
        match self {
            Self::ResetsRequest(reason) => respond.send_reset(reason),
            Self::Says(status) => say(respond, status, token),
            Self::Lies => say(respond, StatusCode::OK, b"something else".to_vec()),
            _ => return Some(respond),
        }
        None
    }
}

fn say(mut respond: SendResponse<Bytes>, status: StatusCode, body: Vec<u8>) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    respond.send_response(response, false).unwrap().send_data(body.into(), true).unwrap();
}

async fn answer_all(mut connection: Connection<TcpStream, Bytes>) {
    while let Some(Ok((request, respond))) = connection.accept().await {
        say(respond, StatusCode::OK, request.headers()[TOKEN_HEADER].as_bytes().to_vec());
    }
}

#[rstest]
#[case::goes_away(Does::GoesAway(Reason::NO_ERROR), Class::Closed, 1)]
#[case::goes_away_in_anger(Does::GoesAway(Reason::ENHANCE_YOUR_CALM), Class::Closed, 1)]
#[case::closes(Does::Closes, Class::Closed, 1)]
#[case::resets(Does::Resets, Class::Reset, 1)]
#[case::resets_a_request(Does::ResetsRequest(Reason::INTERNAL_ERROR), Class::Reset, 0)]
#[case::refuses_a_request(Does::ResetsRequest(Reason::REFUSED_STREAM), Class::Refused, 0)]
#[case::says_that_it_cannot(Does::Says(StatusCode::SERVICE_UNAVAILABLE), Class::Http(503), 0)]
#[case::lies(Does::Lies, Class::WrongAnswer, 0)]
#[case::hangs(Does::Hangs, Class::Stalled, 0)]
#[tokio::test]
async fn ends_are_told_apart(#[case] does: Does, #[case] expected: Class, #[case] cuts: usize) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(does.serve(listener));
    let flow = FlowSpec { port, ..flow::tests::flow(Kind::Held, Protocol::Http2, Layer::L4) };
    let measured = measure(vec![flow], pass(900)).await;
    assert!(!server.is_finished(), "the double met something that it does not expect");
    server.abort();
    let samples = &measured[0].samples;
    // A busy machine makes probes late; it never makes their answers others.
    let bad: Vec<_> =
        samples.iter().filter(|it| !it.class.is_answer() && it.class != Class::Missed).collect();
    // The request that hangs is not given up yet when the measurement ends.
    let hangs = |class| expected == Class::Stalled && class == Class::Lost;
    assert!(!bad.is_empty() && bad.iter().all(|it| it.class == expected || hangs(it.class)), "{bad:?}");
    assert_eq!(samples.iter().filter(|sample| sample.cut).count(), cuts, "{bad:?}");
    // What hangs holds up every later request.
    let again = samples.last().unwrap().class.is_answer();
    assert_eq!(again, expected != Class::Stalled, "{samples:?}");
}

/// A client comes back at once, to a server that is still going: it held one connection, and that was cut.
#[tokio::test]
async fn a_connection_that_never_answered_was_not_held() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut first = handshake(listener.accept().await.unwrap().0).await.unwrap();
        for _ in 1..GOOD {
            let (request, respond) = first.accept().await.unwrap().unwrap();
            say(respond, StatusCode::OK, request.headers()[TOKEN_HEADER].as_bytes().to_vec());
        }
        drop(first);
        drop(listener.accept().await.unwrap());
        loop {
            answer_all(handshake(listener.accept().await.unwrap().0).await.unwrap()).await;
        }
    });
    let flow = FlowSpec { port, ..flow::tests::flow(Kind::Held, Protocol::Http2, Layer::L4) };
    let measured = measure(vec![flow], pass(900)).await;
    server.abort();
    let samples = &measured[0].samples;
    let ended = samples.iter().filter(|it| matches!(it.class, Class::Closed | Class::Reset));
    assert!(ended.count() >= 2, "{samples:?}");
    assert_eq!(samples.iter().filter(|sample| sample.cut).count(), 1, "{samples:?}");
    assert!(samples.last().unwrap().class.is_answer(), "{samples:?}");
}

#[tokio::test]
async fn a_server_that_speaks_something_else_answers_wrongly() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            held.push(stream);
        }
    });
    let flow = FlowSpec { port, ..flow::tests::flow(Kind::Held, Protocol::Http2, Layer::L4) };
    let measured = measure(vec![flow], pass(400)).await;
    server.abort();
    let samples = &measured[0].samples;
    assert!(samples.len() >= 10, "{} probes decided", samples.len());
    assert!(samples.iter().all(|sample| sample.class == Class::WrongAnswer), "{:?}", samples.first());
}
