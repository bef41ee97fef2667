//! The traffic of a run, planned: pods, services, flows, and what policies must grant. Pure.

mod calibration;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::flow::{End, Expectation, FlowSpec, Kind, Layer, Path, Place, Policy, Protocol, Via};
use crate::server::{Listener, PRIVATE_PATH, PUBLIC_PATH};

/// Label that tells what a probe pod is: the name of its [`Part`].
pub const PART_LABEL: &str = "seatrial.dev/probe";
/// Label that holds the name of a probe pod.
pub const NAME_LABEL: &str = "seatrial.dev/name";

/// UDP echo, granted to clients.
pub const UDP_PORT: u16 = 7000;
/// TCP echo, granted to clients.
pub const TCP_PORT: u16 = 7001;
/// TCP echo, granted to nobody, though the server listens.
pub const CLOSED_PORT: u16 = 7002;
/// HTTP, granted to clients by port alone.
pub const HTTP_PORT: u16 = 8080;
/// HTTP, granted to clients by method and path: `GET /public`.
pub const L7_PORT: u16 = 8081;
/// UDP echo of the canary, on the host's own address.
pub const CANARY_PORT: u16 = 27_000;

/// Servers beyond the third node add load and no new path.
const MOST_SERVERS: usize = 3;

/// How often each kind is probed, and how long an answer may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Packets a second.
    pub packet_rate: u32,
    /// Echoes or requests a second on a held connection.
    pub held_rate: u32,
    /// New connections a second.
    pub new_rate: u32,
    /// Probes a second that must be blocked.
    pub deny_rate: u32,
    /// Canary packets a second.
    pub canary_rate: u32,
    /// A probe without an answer for so long is lost, ms.
    pub deadline_ms: u32,
    /// An answer that takes longer is slow, ms.
    pub slow_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            packet_rate: 100,
            held_rate: 50,
            new_rate: 20,
            deny_rate: 20,
            canary_rate: 100,
            deadline_ms: 300,
            slow_ms: 100,
        }
    }
}

/// What a probe pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Asks, and is granted what [`Traffic::grants`] says.
    Client,
    /// Asks, and is granted nothing.
    Stranger,
    /// Answers; policies select it.
    Server,
    /// Answers; no policy selects it.
    OpenServer,
    /// Asks from the host's own address.
    CanaryClient,
    /// Answers on the host's own address.
    CanaryServer,
}

impl Part {
    /// Returns the value of [`PART_LABEL`].
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Stranger => "stranger",
            Self::Server => "server",
            Self::OpenServer => "open-server",
            Self::CanaryClient => "canary-client",
            Self::CanaryServer => "canary-server",
        }
    }

    /// Says whether it asks.
    #[must_use]
    pub fn is_client(self) -> bool {
        matches!(self, Self::Client | Self::Stranger | Self::CanaryClient)
    }

    /// Says whether it lives in the host's network.
    #[must_use]
    pub fn is_on_host(self) -> bool {
        matches!(self, Self::CanaryClient | Self::CanaryServer)
    }

    fn listeners(self) -> Vec<Listener> {
        let listener = |protocol, port| Listener { protocol, port };
        match self {
            Self::Server | Self::OpenServer => vec![
                listener(Protocol::Udp, UDP_PORT),
                listener(Protocol::Tcp, TCP_PORT),
                listener(Protocol::Tcp, CLOSED_PORT),
                listener(Protocol::Http, HTTP_PORT),
                listener(Protocol::Http, L7_PORT),
            ],
            Self::CanaryServer => vec![listener(Protocol::Udp, CANARY_PORT)],
            Self::Client | Self::Stranger | Self::CanaryClient => Vec::new(),
        }
    }
}

/// A pod that takes part in the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePod {
    /// Name.
    pub name: String,
    /// Node on which it must run.
    pub node: String,
    /// What it is.
    pub part: Part,
    /// Ports that it listens on.
    pub listeners: Vec<Listener>,
}

impl ProbePod {
    /// Returns the labels by which policies and services select it.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (PART_LABEL.to_owned(), self.part.label().to_owned()),
            (NAME_LABEL.to_owned(), self.name.clone()),
        ])
    }
}

/// A ClusterIP Service with one server behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeService {
    /// Name, that of the pod behind it.
    pub name: String,
    /// Ports.
    pub ports: Vec<Listener>,
}

/// What an HTTP policy lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// Method.
    pub method: String,
    /// Path, literally.
    pub path: String,
}

/// What one set of pods may ask of another; everything else must be blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Labels of the pods that ask.
    pub client: BTreeMap<String, String>,
    /// Labels of the pods that answer.
    pub server: BTreeMap<String, String>,
    /// [`Protocol::Udp`] or [`Protocol::Tcp`].
    pub transport: Protocol,
    /// Port.
    pub port: u16,
    /// The requests that pass; empty when the port is granted whatever is said there.
    pub http: Vec<HttpRule>,
}

/// The traffic of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Pods.
    pub pods: Vec<ProbePod>,
    /// Services.
    pub services: Vec<ProbeService>,
    /// Flows.
    pub flows: Vec<FlowSpec>,
    /// What policies must grant.
    pub grants: Vec<Grant>,
}

/// A flow of the plan, before it has pods: a row of a table.
struct Row {
    kind: Kind,
    protocol: Protocol,
    policy: Policy,
    via: Via,
    port: u16,
    rate: u32,
}

impl Traffic {
    /// Plans the standard traffic for a cluster of these nodes; empty when there are none.
    ///
    /// Clients are on the first node; servers on the first three. With one node there are no cross-node
    /// flows, and the canary stays on its host.
    #[must_use]
    pub fn standard(nodes: &[String], settings: &Settings) -> Self {
        let mut traffic =
            Self { pods: Vec::new(), services: Vec::new(), flows: Vec::new(), grants: grants() };
        let Some(first) = nodes.first() else { return traffic };
        let far = nodes.get(1).unwrap_or(first);
        traffic.pod("client-1", first, Part::Client);
        traffic.pod("stranger", first, Part::Stranger);
        traffic.pod("canary-client", first, Part::CanaryClient);
        traffic.pod("canary-server", far, Part::CanaryServer);
        for (index, node) in nodes.iter().take(MOST_SERVERS).enumerate() {
            let server = format!("server-{}", index + 1);
            traffic.pod(&server, node, Part::Server);
            traffic.service(&server);
            for row in rows(settings) {
                traffic.flow("client-1", &server, &row, settings);
            }
            traffic.denied(&server, settings);
        }
        traffic.pod("open-server", far, Part::OpenServer);
        traffic.service("open-server");
        for row in open_rows(settings) {
            traffic.flow("client-1", "open-server", &row, settings);
        }
        traffic.flow("canary-client", "canary-server", &canary(settings), settings);
        traffic
    }

    /// Returns the flows that a pod asks in, in the order in which it numbers them.
    pub fn flows_of<'a>(&'a self, pod: &'a str) -> impl Iterator<Item = &'a FlowSpec> {
        self.flows.iter().filter(move |flow| flow.client.pod == pod)
    }

    fn pod(&mut self, name: &str, node: &str, part: Part) {
        self.pods.push(ProbePod { name: name.into(), node: node.into(), part, listeners: part.listeners() });
    }

    fn service(&mut self, name: &str) {
        self.services.push(ProbeService { name: name.into(), ports: Part::Server.listeners() });
    }

    /// Adds what must be blocked: a stranger at an open port, a client at a closed one and at a closed path.
    fn denied(&mut self, server: &str, settings: &Settings) {
        let row = |protocol, policy, port| Row {
            kind: Kind::Deny,
            protocol,
            policy,
            via: Via::PodIp,
            port,
            rate: settings.deny_rate,
        };
        let port = row(Protocol::Tcp, Policy::L4Policy, CLOSED_PORT);
        self.flow("client-1", server, &port, settings).id.replace_range(..8, "deny-port");
        let stranger = row(Protocol::Udp, Policy::L4Policy, UDP_PORT);
        self.flow("stranger", server, &stranger, settings).id.replace_range(..8, "deny-stranger");
        let path = row(Protocol::Http, Policy::L7Policy, L7_PORT);
        let flow = self.flow("client-1", server, &path, settings);
        flow.id.replace_range(..9, "deny-path");
        flow.http_path = Some(PRIVATE_PATH.into());
    }

    fn flow(&mut self, client: &str, server: &str, row: &Row, settings: &Settings) -> &mut FlowSpec {
        let end = |name: &str| End { pod: name.into(), node: self.node_of(name) };
        let (client, server) = (end(client), end(server));
        let place = if client.node == server.node { Place::SameNode } else { Place::CrossNode };
        let path = Path { place, via: row.via, policy: row.policy };
        // The third server shares its path with the second; its name tells their flows apart.
        let suffix = if server.pod == "server-3" { "/server-3" } else { "" };
        let [place, via, policy] =
            [path.place.to_string(), path.via.to_string(), path.policy.to_string()].map(|words| slug(&words));
        let id = format!("{}-{}/{place}/{via}/{policy}{suffix}", row.kind, row.protocol);
        let ms = |ms: u32| u64::from(ms) * 1_000_000;
        let flow = FlowSpec {
            id,
            kind: row.kind,
            protocol: row.protocol,
            layer: layer(row),
            service: (row.via == Via::ClusterIp).then(|| server.pod.clone()),
            client,
            server,
            path,
            address: None,
            port: row.port,
            http_path: (row.protocol == Protocol::Http).then(|| PUBLIC_PATH.into()),
            period_ns: u64::from(1_000_000_000 / row.rate.max(1)),
            slow_ns: ms(settings.slow_ms),
            deadline_ns: ms(settings.deadline_ms),
            expect: if row.kind == Kind::Deny { Expectation::Blocked } else { Expectation::Answered },
        };
        let index = self.flows.len();
        self.flows.push(flow);
        &mut self.flows[index]
    }

    fn node_of(&self, pod: &str) -> String {
        self.pods
            .iter()
            .find(|planned| planned.name == pod)
            .map(|planned| planned.node.clone())
            .unwrap_or_default()
    }
}

impl Settings {
    /// Returns how long a probe may go unanswered.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }
}

/// The flows to every server that policies select.
fn rows(settings: &Settings) -> Vec<Row> {
    use {Kind as K, Policy as P, Protocol as T};
    let both = [Via::PodIp, Via::ClusterIp].as_slice();
    [
        (K::Packet, T::Udp, P::L4Policy, UDP_PORT, settings.packet_rate, both),
        (K::Held, T::Tcp, P::L4Policy, TCP_PORT, settings.held_rate, both),
        (K::Held, T::Http, P::L7Policy, L7_PORT, settings.held_rate, both),
        (K::New, T::Tcp, P::L4Policy, TCP_PORT, settings.new_rate, &[Via::ClusterIp]),
        (K::New, T::Http, P::L4Policy, HTTP_PORT, settings.new_rate, &[Via::PodIp]),
        (K::New, T::Http, P::L7Policy, L7_PORT, settings.new_rate, &[Via::PodIp]),
    ]
    .into_iter()
    .flat_map(|(kind, protocol, policy, port, rate, vias)| {
        vias.iter().map(move |&via| Row { kind, protocol, policy, via, port, rate })
    })
    .collect()
}

/// The flows to the server that no policy selects.
fn open_rows(settings: &Settings) -> [Row; 3] {
    let row = |kind, protocol, port, rate| Row {
        kind,
        protocol,
        policy: Policy::NoPolicy,
        via: Via::PodIp,
        port,
        rate,
    };
    [
        row(Kind::Packet, Protocol::Udp, UDP_PORT, settings.packet_rate),
        row(Kind::Held, Protocol::Tcp, TCP_PORT, settings.held_rate),
        row(Kind::New, Protocol::Tcp, TCP_PORT, settings.new_rate),
    ]
}

/// The flow between hosts, which crosses nothing that is upgraded.
fn canary(settings: &Settings) -> Row {
    Row {
        kind: Kind::Canary,
        protocol: Protocol::Udp,
        policy: Policy::NoPolicy,
        via: Via::HostIp,
        port: CANARY_PORT,
        rate: settings.canary_rate,
    }
}

fn layer(row: &Row) -> Layer {
    match (row.kind, row.policy) {
        (Kind::Canary, _) => Layer::Canary,
        (Kind::Deny, _) => Layer::Policy,
        (_, Policy::L7Policy) => Layer::L7,
        (Kind::Packet, _) => Layer::L3,
        (Kind::Held | Kind::New, _) => Layer::L4,
    }
}

fn grants() -> Vec<Grant> {
    let labels = |part: Part| BTreeMap::from([(PART_LABEL.to_owned(), part.label().to_owned())]);
    let public = HttpRule { method: "GET".into(), path: PUBLIC_PATH.into() };
    [
        (Protocol::Udp, UDP_PORT, Vec::new()),
        (Protocol::Tcp, TCP_PORT, Vec::new()),
        (Protocol::Tcp, HTTP_PORT, Vec::new()),
        (Protocol::Tcp, L7_PORT, vec![public]),
    ]
    .into_iter()
    .map(|(transport, port, http)| Grant {
        client: labels(Part::Client),
        server: labels(Part::Server),
        transport,
        port,
        http,
    })
    .collect()
}

/// Turns words into a part of an id: `L3/L4 policy` → `l4-policy`.
fn slug(words: &str) -> String {
    match words {
        "ClusterIP" => "cluster-ip".into(),
        words => words.trim_start_matches("L3/").to_lowercase().replace(' ', "-"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;

    fn plan(nodes: usize) -> Traffic {
        let nodes: Vec<_> = (1..=nodes).map(|n| format!("node{n}")).collect();
        Traffic::standard(&nodes, &Settings::default())
    }

    #[rstest]
    #[case::none(0, 0)]
    #[case::one(1, 16)]
    #[case::two(2, 28)]
    #[case::three(3, 40)]
    #[case::five_has_three_servers(5, 40)]
    fn every_flow_is_whole_and_named_once(#[case] nodes: usize, #[case] flows: usize) {
        let traffic = plan(nodes);
        assert_eq!(traffic.flows.len(), flows);
        let ids: BTreeSet<_> = traffic.flows.iter().map(|flow| &flow.id).collect();
        assert_eq!(ids.len(), flows, "{ids:#?}");
        for flow in &traffic.flows {
            let server = traffic.pods.iter().find(|pod| pod.name == flow.server.pod).unwrap();
            let listens = server.listeners.iter().any(|l| l.port == flow.port && l.protocol == flow.protocol);
            assert!(listens, "{}", flow.id);
            assert!(!flow.client.node.is_empty() && !flow.server.node.is_empty(), "{}", flow.id);
            assert!(flow.slow_ns < flow.deadline_ns);
        }
    }

    #[test]
    fn one_node_has_no_cross_node_flow() {
        assert!(plan(1).flows.iter().all(|flow| flow.path.place == Place::SameNode));
    }

    #[rstest]
    #[case("packet-udp/same-node/pod-ip/l4-policy", Layer::L3)]
    #[case("packet-udp/cross-node/cluster-ip/l4-policy", Layer::L3)]
    #[case("packet-udp/cross-node/pod-ip/no-policy", Layer::L3)]
    #[case("held-tcp/cross-node/cluster-ip/l4-policy", Layer::L4)]
    #[case("held-http/same-node/cluster-ip/l7-policy", Layer::L7)]
    #[case("held-http/cross-node/pod-ip/l7-policy", Layer::L7)]
    #[case("new-http/cross-node/pod-ip/l4-policy", Layer::L4)]
    #[case("new-http/cross-node/pod-ip/l7-policy", Layer::L7)]
    #[case("deny-stranger/cross-node/pod-ip/l4-policy", Layer::Policy)]
    #[case("deny-port/same-node/pod-ip/l4-policy", Layer::Policy)]
    #[case("deny-path/cross-node/pod-ip/l7-policy", Layer::Policy)]
    #[case("canary-udp/cross-node/host-ip/no-policy", Layer::Canary)]
    fn flow_exists(#[case] id: &str, #[case] layer: Layer) {
        let traffic = plan(2);
        let flow = traffic.flows.iter().find(|flow| flow.id == id).unwrap();
        assert_eq!(flow.layer, layer);
    }

    /// The deny flows and the grants must not contradict each other, or the run proves nothing.
    #[test]
    fn what_is_denied_is_not_granted_and_the_rest_is() {
        let traffic = plan(2);
        let part = |name: &str| traffic.pods.iter().find(|pod| pod.name == name).unwrap().part;
        for flow in traffic.flows.iter().filter(|flow| part(&flow.server.pod) == Part::Server) {
            let granted = part(&flow.client.pod) == Part::Client
                && traffic.grants.iter().any(|grant| {
                    let path = flow.http_path.as_deref();
                    let passes =
                        grant.http.is_empty() || grant.http.iter().any(|rule| Some(&*rule.path) == path);
                    grant.port == flow.port && passes
                });
            assert_eq!(granted, flow.expect == Expectation::Answered, "{}", flow.id);
        }
    }
}
