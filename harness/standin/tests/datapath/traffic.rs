//! Servers in the pods, and what clients send to them.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::netns::Netns;

pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// A path that is answered when the test releases the answer.
pub(super) const HELD: &str = "/held";
/// Released answers that no server has sent yet.
static RELEASED: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());
/// Within this time a kernel acknowledges what it has received.
const ACKNOWLEDGED: Duration = Duration::from_secs(5);

/// Serves until the process ends: HTTP on 8080 and 9090, echo on 7000.
pub(super) fn serve(netns: &Netns, name: &'static str) {
    let (http, other, udp) = netns.run(|| {
        let bind = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        (bind(8080), bind(9090), UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 7000)).unwrap())
    });
    for listener in [http, other] {
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || answer_all(stream, name));
            }
        });
    }
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            // A sender that is gone is not waited for.
            drop(udp.send_to(&buffer[..length], from));
        }
    });
}

fn answer_all(stream: TcpStream, name: &str) -> io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    let mut stream = stream;
    let mut held = false;
    for line in lines {
        let line = line?;
        held |= line.contains(HELD);
        if line.is_empty() {
            if std::mem::take(&mut held) {
                let released = RELEASED.0.lock().unwrap_or_else(PoisonError::into_inner);
                let released = RELEASED.1.wait_while(released, |released| *released == 0);
                *released.unwrap_or_else(PoisonError::into_inner) -= 1;
            }
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len())?;
        }
    }
    Ok(())
}

pub(super) fn connect(server: SocketAddrV4) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server.into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One request over a connection of its own.
pub(super) fn get(server: SocketAddrV4, path: &str) -> io::Result<(u16, String)> {
    request(&mut connect(server)?, path)
}

/// One request over a connection that exists: the status and the body.
pub(super) fn request(stream: &mut TcpStream, path: &str) -> io::Result<(u16, String)> {
    send(stream, path)?;
    answer(stream)
}

/// Sends a request.
pub(super) fn send(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: server\r\n\r\n")
}

/// Lets a server send the answer to a request for [`HELD`].
pub(super) fn release_answer() {
    *RELEASED.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    RELEASED.1.notify_one();
}

/// Waits until the server's kernel has acknowledged all that was sent. To be called in the client's namespace.
pub(super) fn wait_until_acknowledged(stream: &TcpStream) {
    let port = format!(":{:04X}", stream.local_addr().unwrap().port());
    let outstanding = || {
        let sockets = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
        let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        // The local address, and the bytes to send and to read.
        let own =
            fields.filter(|fields| fields[1].ends_with(&port)).map(|fields| fields[4].to_owned()).next();
        !own.unwrap().starts_with("00000000:")
    };
    let begun = Instant::now();
    while outstanding() {
        assert!(begun.elapsed() < ACKNOWLEDGED, "the server's kernel acknowledges nothing");
        thread::yield_now();
    }
}

/// Reads an answer.
pub(super) fn answer(stream: &mut TcpStream) -> io::Result<(u16, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = BTreeMap::new();
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
    let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((key, value)) = line.trim_end().split_once(':') else { break };
        head.insert(key.to_lowercase(), value.trim().to_owned());
    }
    let length = head.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Sends a number and waits for its echo.
pub(super) fn say(socket: &UdpSocket, number: u32) -> io::Result<()> {
    socket.send(&number.to_be_bytes())?;
    let mut echo = [0; 4];
    loop {
        socket.recv(&mut echo)?;
        if u32::from_be_bytes(echo) == number {
            return Ok(());
        }
    }
}
