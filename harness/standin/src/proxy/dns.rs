//! The DNS proxy: forwards the queries of pods that the packet rules redirect here, and the answers.
//!
//! It supports UDP. A query is sent from the node's own address to the pod's server; the answer returns
//! from that server's address, once the rules contain its addresses.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};

use super::PORTS;
use super::policy::ProxyPolicy;
use crate::fqdn::question::{self, LONGEST, Lookup};

/// An answer that is about to be sent to a pod.
pub(crate) struct Told {
    /// The pod's address.
    pub(crate) pod: Ipv4Addr,
    /// The addresses in the answer.
    pub(crate) lookup: Lookup,
    /// Signals that the rules contain the addresses.
    pub(crate) known: oneshot::Sender<()>,
}

/// Listens on the first free port; answers to pods are sent to the returned channel.
pub(super) fn start(policy: watch::Receiver<Arc<ProxyPolicy>>) -> io::Result<(u16, mpsc::Receiver<Told>)> {
    let (socket, port) = bind()?;
    let (tell, told) = mpsc::channel(64);
    tokio::spawn(serve(Arc::new(socket), policy, tell));
    Ok((port, told))
}

fn bind() -> io::Result<(UdpSocket, u16)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in PORTS {
        let socket = transparent()?;
        match socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()) {
            Ok(()) => {
                setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?;
                return Ok((UdpSocket::from_std(socket.into())?, port));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A transparent socket: it receives and sends packets with other addresses.
fn transparent() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.set_ip_transparent_v4(true)?;
    Ok(socket)
}

async fn serve(socket: Arc<UdpSocket>, policy: watch::Receiver<Arc<ProxyPolicy>>, tell: mpsc::Sender<Told>) {
    loop {
        match socket.async_io(Interest::READABLE, || receive(&socket)).await {
            Ok(Some(asked)) => {
                let (policy, tell) = (policy.borrow().clone(), tell.clone());
                tokio::spawn(async move {
                    if let Err(error) = answer(&asked, &policy, &tell).await {
                        tracing::debug!(%error, "a question was not answered");
                    }
                });
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the DNS proxy could not read a question"),
        }
    }
}

/// A query with its source and destination.
struct Asked {
    pod: SocketAddrV4,
    server: SocketAddrV4,
    question: Vec<u8>,
}

fn receive(socket: &UdpSocket) -> io::Result<Option<Asked>> {
    let mut bytes = vec![0; LONGEST];
    let mut space = nix::cmsg_space!(nix::libc::sockaddr_in);
    let (length, pod, server) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let read = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let meant_for = read.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::Ipv4OrigDstAddr(address) => {
                Some(SocketAddrV4::from(SockaddrIn::from(address)))
            }
            _ => None,
        });
        (read.bytes, read.address.map(SocketAddrV4::from), meant_for)
    };
    bytes.truncate(length);
    Ok(pod.zip(server).map(|(pod, server)| Asked { pod, server, question: bytes }))
}

async fn answer(asked: &Asked, policy: &ProxyPolicy, tell: &mpsc::Sender<Told>) -> io::Result<()> {
    let Asked { pod, server, question } = asked;
    let Some(name) = question::asked(question) else { return Ok(()) };
    if !policy.allows_name(*pod.ip(), *server, &name) {
        return question::refusal(question).map_or(Ok(()), |refusal| reply(asked, &refusal));
    }
    let answer = question::forward(SocketAddr::V4(*server), question).await?;
    if let Some(lookup) = question::answered(&answer) {
        let (known, in_force) = oneshot::channel();
        // Either end is closed only with the agent.
        if tell.send(Told { pod: *pod.ip(), lookup, known }).await.is_ok() {
            drop(in_force.await);
        }
    }
    reply(asked, &answer)
}

fn reply(asked: &Asked, answer: &[u8]) -> io::Result<()> {
    let socket = transparent()?;
    socket.set_reuse_address(true)?;
    socket.bind(&asked.server.into())?;
    socket.send_to(answer, &asked.pod.into()).map(drop)
}
