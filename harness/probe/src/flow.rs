//! A flow: one probed path of one kind, as data.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sample::Class;

/// How a flow uses the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Datagrams, each on its own.
    Packet,
    /// One long connection.
    Held,
    /// A connection a probe.
    New,
    /// Traffic that must not pass.
    Deny,
    /// A question to the cluster's DNS.
    Dns,
    /// A new pod, until it can talk.
    Pod,
    /// The harness's control traffic between hosts, not crossing the subject.
    Canary,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 7] =
        [Self::Packet, Self::Held, Self::New, Self::Deny, Self::Dns, Self::Pod, Self::Canary];
}

/// The protocol that a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// UDP echo.
    Udp,
    /// TCP echo.
    Tcp,
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS, from the first byte on.
    Http2,
    /// ICMP echo.
    Icmp,
}

/// The layer at which a flow is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// Packets.
    L3,
    /// Connections.
    L4,
    /// Requests through a proxy.
    L7,
    /// Traffic that must not pass.
    #[serde(rename = "policy")]
    Policy,
    /// What the cluster does to its pods.
    #[serde(rename = "control")]
    Control,
    /// The harness's control traffic.
    #[serde(rename = "canary")]
    Canary,
}

/// Where the two ends of a flow are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Both on one node.
    SameNode,
    /// On two nodes.
    CrossNode,
    /// Wherever the Service finds one of its servers.
    AnyNode,
    /// From a host's own network to a pod, on another node where there is one.
    HostToPod,
    /// From a pod to a host's own network, on another node where there is one.
    PodToHost,
    /// From a host outside of the cluster to a pod, over another node than the pod's where there is one.
    OutsideToPod,
    /// From a pod to a host outside of the cluster.
    PodToOutside,
}

/// By which address the server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// The address of the pod; of two, the one that Kubernetes names first.
    PodIp,
    /// The IPv6 address of the pod.
    PodIpv6,
    /// The address of a Service.
    ClusterIp,
    /// The address of the node.
    HostIp,
    /// A port of a Service that every node answers on.
    NodePort,
    /// An address outside of the cluster.
    Outside,
}

/// The policy that the flow passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// No policy selects the server.
    NoPolicy,
    /// Addresses and ports.
    L4Policy,
    /// HTTP methods and paths, through a proxy.
    L7Policy,
}

/// The path of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Path {
    /// Where the ends are.
    pub place: Place,
    /// The address used.
    pub via: Via,
    /// The policy passed.
    pub policy: Policy,
}

/// One end of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Pod name.
    pub pod: String,
    /// Node name.
    pub node: String,
}

/// A question to the cluster's DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Name of a Service; the whole domain name once its namespace is known.
    pub name: String,
    /// The one right answer; absent until the Service exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// What must become of the probes of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Each is answered within the deadline.
    Answered,
    /// None is answered.
    Blocked,
}

/// A flow: where from, where to, how often, and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSpec {
    /// Id, such as `held-http/cross-node/pod-ip/l7-policy`.
    pub id: String,
    /// Kind.
    pub kind: Kind,
    /// Protocol.
    pub protocol: Protocol,
    /// Layer at which it is judged.
    pub layer: Layer,
    /// The end that asks.
    pub client: End,
    /// The end that answers; for [`Place::AnyNode`], the Service and the nodes behind it.
    pub server: End,
    /// Nodes of the servers behind a Service, for [`Place::AnyNode`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_nodes: Vec<String>,
    /// The path between them.
    pub path: Path,
    /// Service that is asked, for [`Via::ClusterIp`] and [`Via::NodePort`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Node whose address is asked, for [`Via::NodePort`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Address that is asked; absent until the server runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Port that is asked; for [`Via::NodePort`], the Service's until it has one on the nodes.
    pub port: u16,
    /// Bytes of a request and of its answer, for UDP and TCP echo; 0 for the fewest that carry its number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: u16,
    /// Path of the request, for [`Protocol::Http`] and [`Protocol::Http2`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_path: Option<String>,
    /// What is asked for, for [`Kind::Dns`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// Time between two probes, ns.
    pub period_ns: u64,
    /// An answer that takes longer than this is slow, ns from the due time.
    pub slow_ns: u64,
    /// A probe without an answer for so long is lost, ns from the due time.
    pub deadline_ns: u64,
    /// What must become of its probes.
    pub expect: Expectation,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(bytes: &u16) -> bool {
    *bytes == 0
}

impl FlowSpec {
    /// Says whether a probe of this class did what it must.
    #[must_use]
    pub fn is_good(&self, class: Class) -> bool {
        match self.expect {
            Expectation::Answered => class.is_answer(),
            // A wrong answer came from behind the policy just the same.
            Expectation::Blocked => !class.is_answer() && class != Class::WrongAnswer,
        }
    }

    /// Writes down all that decides what an outage of this flow looks like, but for addresses.
    pub(crate) fn probing(&self) -> String {
        let Self { id, kind, protocol, bytes, period_ns, slow_ns, deadline_ns, expect, .. } = self;
        format!("{id} {kind} {protocol} {bytes} {period_ns} {slow_ns} {deadline_ns} {expect:?}")
    }

    /// Says whether the flow crosses what is being upgraded.
    #[must_use]
    pub fn crosses_subject(&self) -> bool {
        self.kind != Kind::Canary
    }

    /// Names the node at which its probes come into the cluster: the client's, but for [`Via::NodePort`].
    #[must_use]
    pub fn node_of_client(&self) -> &str {
        self.entry.as_deref().unwrap_or(&self.client.node)
    }

    /// The name by which its HTTP server is asked, and the path.
    pub(crate) fn http_target(&self) -> (&str, &str) {
        let host = self.service.as_deref().unwrap_or(&self.server.pod);
        (host, self.http_path.as_deref().unwrap_or("/"))
    }

    /// Names the nodes of its path: the client's, and those of servers elsewhere.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        let client = self.node_of_client();
        std::iter::once(client).chain(self.nodes_of_server().filter(move |node| *node != client))
    }

    /// Names the nodes on which its probes can be answered.
    pub fn nodes_of_server(&self) -> impl Iterator<Item = &str> {
        let own = self.server_nodes.is_empty().then_some(self.server.node.as_str());
        self.server_nodes.iter().map(String::as_str).chain(own)
    }

    /// Returns the address and port, once the server's address is known.
    #[must_use]
    pub fn target(&self) -> Option<SocketAddr> {
        self.address.map(|address| SocketAddr::new(address, self.port))
    }

    /// Classes an answer by how long after its due time it came.
    pub(crate) fn class_of_answer(&self, took_ns: u64) -> Class {
        match took_ns {
            ns if ns > self.deadline_ns => Class::Lost,
            ns if ns > self.slow_ns => Class::Slow,
            _ => Class::Answered,
        }
    }

    /// The time after which a probe counts as lost.
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_nanos(self.deadline_ns)
    }
}

macro_rules! words {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

words!(Kind {
    Packet => "packet",
    Held => "held",
    New => "new",
    Deny => "deny",
    Dns => "dns",
    Pod => "pod",
    Canary => "canary",
});
words!(Protocol { Udp => "udp", Tcp => "tcp", Http => "http", Http2 => "http2", Icmp => "icmp" });
words!(Layer {
    L3 => "L3",
    L4 => "L4",
    L7 => "L7",
    Policy => "policy",
    Control => "control",
    Canary => "canary",
});
words!(Place {
    SameNode => "same node",
    CrossNode => "cross node",
    AnyNode => "any node",
    HostToPod => "host to pod",
    PodToHost => "pod to host",
    OutsideToPod => "outside to pod",
    PodToOutside => "pod to outside",
});
words!(Via {
    PodIp => "pod IP",
    PodIpv6 => "pod IPv6",
    ClusterIp => "ClusterIP",
    HostIp => "host IP",
    NodePort => "NodePort",
    Outside => "outside",
});
words!(Policy { NoPolicy => "no policy", L4Policy => "L3/L4 policy", L7Policy => "L7 policy" });

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.place, self.via, self.policy)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.pod, self.node)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rstest::rstest;

    use super::*;

    const MS: u64 = 1_000_000;

    /// A flow to loopback for tests.
    pub(crate) fn flow(kind: Kind, protocol: Protocol, layer: Layer) -> FlowSpec {
        let end = |pod: &str, node: &str| End { pod: pod.into(), node: node.into() };
        let expect = if kind == Kind::Deny { Expectation::Blocked } else { Expectation::Answered };
        FlowSpec {
            id: format!("{kind}-{protocol}/cross-node/pod-ip/no-policy"),
            kind,
            protocol,
            layer,
            client: end("client-1", "node1"),
            server: end("server-2", "node2"),
            server_nodes: Vec::new(),
            path: Path { place: Place::CrossNode, via: Via::PodIp, policy: Policy::NoPolicy },
            service: None,
            entry: None,
            address: Some(IpAddr::from([127, 0, 0, 1])),
            port: 0,
            bytes: 0,
            http_path: matches!(protocol, Protocol::Http | Protocol::Http2).then(|| "/public".into()),
            query: None,
            period_ns: 10 * MS,
            slow_ns: 50 * MS,
            deadline_ns: 200 * MS,
            expect,
        }
    }

    #[rstest]
    #[case::answer_wanted(Kind::New, Class::Answered, true)]
    #[case::slow_is_not_lost(Kind::New, Class::Slow, true)]
    #[case::error_status(Kind::New, Class::Http(503), false)]
    #[case::hole(Kind::Deny, Class::Answered, false)]
    #[case::wrong_answer_is_a_hole_too(Kind::Deny, Class::WrongAnswer, false)]
    #[case::forbidden(Kind::Deny, Class::Http(403), true)]
    #[case::dropped(Kind::Deny, Class::Lost, true)]
    fn goodness(#[case] kind: Kind, #[case] class: Class, #[case] good: bool) {
        let spec = flow(kind, Protocol::Http, Layer::L7);
        assert_eq!(spec.is_good(class), good);
    }

    #[test]
    fn a_service_can_answer_from_every_node_behind_it() {
        let mut spec = flow(Kind::New, Protocol::Tcp, Layer::L4);
        assert_eq!(spec.nodes().collect::<Vec<_>>(), ["node1", "node2"]);
        spec.server_nodes = vec!["node1".into(), "node3".into()];
        assert_eq!(spec.nodes().collect::<Vec<_>>(), ["node1", "node3"]);
        spec.entry = Some("node3".into());
        assert_eq!(spec.nodes().collect::<Vec<_>>(), ["node3", "node1"]);
    }

    #[test]
    fn survives_json() {
        let spec = flow(Kind::Held, Protocol::Http, Layer::L7);
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<FlowSpec>(&json).unwrap(), spec);
    }
}
