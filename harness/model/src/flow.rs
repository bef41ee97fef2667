//! What a flow sends.

use crate::spelling::spelling;

/// How a flow uses the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Independent datagrams.
    Packet,
    /// One long-lived connection.
    Held,
    /// A new connection for each probe.
    New,
    /// Traffic that policy must block.
    Deny,
    /// Queries to the cluster's DNS.
    Dns,
    /// A new pod, until it can send.
    Pod,
    /// The harness's control traffic between hosts, which does not cross the subject.
    Canary,
}

spelling!(Kind, "traffic kind", {
    Packet => "packet",
    Held => "held",
    New => "new",
    Deny => "deny",
    Dns => "dns",
    Pod => "pod",
    Canary => "canary",
});

/// The protocol of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// UDP echo.
    Udp,
    /// TCP echo.
    Tcp,
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS, with prior knowledge.
    Http2,
    /// ICMP echo.
    Icmp,
}

spelling!(Protocol, "protocol", {
    Udp => "udp",
    Tcp => "tcp",
    Http => "http",
    Http2 => "http2",
    Icmp => "icmp",
});
