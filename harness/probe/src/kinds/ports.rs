//! The ports of the probe servers, and the addresses outside the cluster.

use std::net::Ipv4Addr;

/// UDP echo, granted to clients.
pub const UDP_PORT: u16 = 7000;
/// TCP echo, granted to clients.
pub const TCP_PORT: u16 = 7001;
/// TCP echo, granted to no client, although the server listens.
pub const CLOSED_PORT: u16 = 7002;
/// HTTP, granted to clients by port.
pub const HTTP_PORT: u16 = 8080;
/// HTTP, granted to clients by method and path: `GET /public`.
pub const L7_PORT: u16 = 8081;
/// HTTP/2 without TLS, granted to clients by port.
pub const HTTP2_PORT: u16 = 8082;
/// UDP echo of the canary and for pods that probe a host, on the host's address.
pub const CANARY_PORT: u16 = 27_000;
/// TCP echo for pods that probe a host, on the host's address.
pub const HOST_PORT: u16 = 27_001;
/// TCP echo on addresses and on a host outside the cluster.
pub const OUTSIDE_PORT: u16 = 27_002;
/// The port of every DNS server.
pub(crate) const DNS_PORT: u16 = 53;

/// Two addresses outside the cluster, the first with a name and the second without; both are unassigned (RFC 5737).
pub const OUTSIDE: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(192, 0, 2, 11)];
