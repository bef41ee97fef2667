//! A flow: one probed path of one traffic kind, as data.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use model::{Class, Kind, Layer, Protocol};
use serde::{Deserialize, Serialize};

pub use crate::exchange::Token;

/// Where the two ends of a flow are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Both on one node.
    SameNode,
    /// On two nodes.
    CrossNode,
    /// The Service selects one of its servers on any node.
    AnyNode,
    /// From a host's network namespace to a pod, on another node if the cluster has one.
    HostToPod,
    /// From a pod to a host's network namespace, on another node if the cluster has one.
    PodToHost,
    /// From a host outside the cluster to a pod, through another node than the pod's if the cluster has one.
    OutsideToPod,
    /// From a pod to a host outside the cluster.
    PodToOutside,
}

/// The address by which the server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// The pod's address; the first one of a dual-stack pod.
    PodIp,
    /// The pod's IPv6 address.
    PodIpv6,
    /// The cluster IP of a Service.
    ClusterIp,
    /// The node's address.
    HostIp,
    /// A node port of a Service.
    NodePort,
    /// An address outside the cluster.
    Outside,
}

/// The policy that the flow crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// No policy selects the server.
    NoPolicy,
    /// A policy on addresses and ports.
    L4Policy,
    /// A policy on HTTP methods and paths, enforced by a proxy.
    L7Policy,
}

/// The path of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Path {
    /// Where the ends are.
    pub place: Place,
    /// The address used.
    pub via: Via,
    /// The policy crossed.
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

/// A query to the cluster's DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Name of a Service; the fully qualified name once its namespace is known.
    pub name: String,
    /// The only right answer; absent until the Service exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// The expected result of a flow's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Each probe is answered within the deadline.
    Answered,
    /// No probe is answered.
    Blocked,
}

/// A flow: its two ends, its schedule and the expected result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSpec {
    /// Id, such as `held-http/cross-node/pod-ip/l7-policy`.
    pub id: String,
    /// Kind.
    pub kind: Kind,
    /// Protocol.
    pub protocol: Protocol,
    /// Layer at which the flow is judged.
    pub layer: Layer,
    /// The end that sends probes.
    pub client: End,
    /// The end that answers; for [`Place::AnyNode`], the Service and its nodes.
    pub server: End,
    /// Nodes of the servers behind a Service, for [`Place::AnyNode`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_nodes: Vec<String>,
    /// The path between them.
    pub path: Path,
    /// Service that is probed, for [`Via::ClusterIp`] and [`Via::NodePort`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Node whose address is probed, for [`Via::NodePort`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Address that is probed; absent until the server runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Port that is probed; for [`Via::NodePort`], the Service's port until the node port is known.
    pub port: u16,
    /// Bytes of a request and of its answer, for UDP and TCP echo; 0 for the minimum.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: u16,
    /// The token of the run, for UDP echo; absent until the server runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Path of the request, for [`Protocol::Http`] and [`Protocol::Http2`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_path: Option<String>,
    /// The query, for [`Kind::Dns`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// Time between two probes, ns.
    pub period_ns: u64,
    /// An answer after this time is slow, ns from the due time.
    pub slow_ns: u64,
    /// A probe without an answer until this time is lost, ns from the due time.
    pub deadline_ns: u64,
    /// The expected result of its probes.
    pub expect: Expectation,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(bytes: &u16) -> bool {
    *bytes == 0
}

impl FlowSpec {
    /// Returns whether a probe of this class had the expected result.
    #[must_use]
    pub fn is_good(&self, class: Class) -> bool {
        match self.expect {
            Expectation::Answered => class.is_answer(),
            // A wrong answer passed the policy too.
            Expectation::Blocked => !class.is_answer() && class != Class::WrongAnswer,
        }
    }

    /// Returns everything that decides what an outage of this flow looks like, except addresses.
    pub(crate) fn probing(&self) -> String {
        let Self { id, kind, protocol, bytes, period_ns, slow_ns, deadline_ns, expect, .. } = self;
        format!("{id} {kind} {protocol} {bytes} {period_ns} {slow_ns} {deadline_ns} {expect:?}")
    }

    /// Returns whether the flow crosses the subject of the upgrade.
    #[must_use]
    pub fn crosses_subject(&self) -> bool {
        self.kind != Kind::Canary
    }

    /// Returns the node at which its probes enter the cluster: the client's node, except for [`Via::NodePort`].
    #[must_use]
    pub fn node_of_client(&self) -> &str {
        self.entry.as_deref().unwrap_or(&self.client.node)
    }

    /// Returns the host and the path of its HTTP requests.
    pub(crate) fn http_target(&self) -> (&str, &str) {
        let host = self.service.as_deref().unwrap_or(&self.server.pod);
        (host, self.http_path.as_deref().unwrap_or("/"))
    }

    /// Returns the nodes of its path: the client's node, then the servers' other nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        let client = self.node_of_client();
        std::iter::once(client).chain(self.nodes_of_server().filter(move |node| *node != client))
    }

    /// Returns the nodes on which its probes can be answered.
    pub fn nodes_of_server(&self) -> impl Iterator<Item = &str> {
        let own = self.server_nodes.is_empty().then_some(self.server.node.as_str());
        self.server_nodes.iter().map(String::as_str).chain(own)
    }

    /// Returns the address and port, once the server's address is known.
    #[must_use]
    pub fn target(&self) -> Option<SocketAddr> {
        self.address.map(|address| SocketAddr::new(address, self.port))
    }

    /// Returns the class of an answer that came this long after the due time.
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

/// Gives an enum its part of a flow id, and words for people.
macro_rules! spelling {
    ($type:ty { $($variant:ident => $id:literal, $words:literal);+ $(;)? }) => {
        impl $type {
            /// Returns the part of a flow id that stands for it.
            pub(crate) const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $words),+ })
            }
        }
    };
}

spelling!(Place {
    SameNode => "same-node", "same node";
    CrossNode => "cross-node", "cross node";
    AnyNode => "any-node", "any node";
    HostToPod => "host-to-pod", "host to pod";
    PodToHost => "pod-to-host", "pod to host";
    OutsideToPod => "outside-to-pod", "outside to pod";
    PodToOutside => "pod-to-outside", "pod to outside";
});
spelling!(Via {
    PodIp => "pod-ip", "pod IP";
    PodIpv6 => "pod-ipv6", "pod IPv6";
    ClusterIp => "cluster-ip", "ClusterIP";
    HostIp => "host-ip", "host IP";
    NodePort => "node-port", "NodePort";
    Outside => "outside", "outside";
});
spelling!(Policy {
    NoPolicy => "no-policy", "no policy";
    L4Policy => "l4-policy", "L3/L4 policy";
    L7Policy => "l7-policy", "L7 policy";
});

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
    /// The token of flows in tests.
    pub(crate) const TOKEN: &str = "0011223344556677";

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
            token: TOKEN.parse().ok(),
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
