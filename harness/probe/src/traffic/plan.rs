//! Lays the rows of the tables over pods and nodes.

use std::collections::BTreeMap;

use super::rows::{self, Row};
use super::{
    ALL_SERVERS, Grant, HTTP_PORT, HTTP2_PORT, HttpRule, L7_PORT, NAME_LABEL, OUTSIDE, OUTSIDE_HOST,
    OUTSIDE_NAME, OutsideName, Part, ProbePod, ProbeService, Settings, TCP_PORT, Traffic, UDP_PORT,
};
use crate::exchange::{Listener, PUBLIC_PATH};
use crate::flow::{End, Expectation, FlowSpec, Kind, Layer, Path, Place, Policy, Protocol, Query, Via};

/// Stands for the cluster's DNS Service until the cluster tells where it is.
const DNS: &str = "cluster-dns";

/// Servers beyond the third node add load and no new path.
const MOST_SERVERS: usize = 3;
/// New pods beyond the second node add load and no new path.
const MOST_NEW_POD_NODES: usize = 2;

/// Plans the standard traffic.
pub(super) fn standard(nodes: &[String], outside: bool, settings: &Settings) -> Traffic {
    let mut plan =
        Plan { traffic: Traffic { grants: grants(), ..Traffic::default() }, settings: settings.clone() };
    let Some(near) = nodes.first() else { return plan.traffic };
    let far = nodes.get(1).unwrap_or(near);
    // Each node asks a part: no processor time that probes take on one may be missing to its agent.
    let (back, open) =
        if near == far { ("client-1", "open-server") } else { ("client-2", "open-server-near") };
    plan.pod("client-1", near, Part::Client);
    if back != "client-1" {
        plan.pod(back, far, Part::Client);
    }
    plan.pod("stranger", near, Part::Stranger);
    plan.pod("host-client", far, Part::HostClient);
    plan.pod("host-server", near, Part::HostServer);
    plan.servers(&nodes[..nodes.len().min(MOST_SERVERS)]);
    plan.open_servers(near, far);
    plan.flows(back, open, &rows::to_open_server(settings));
    plan.flows("host-client", open, &rows::from_host(settings));
    plan.flows(back, "host-server", &rows::to_host(settings));
    let [udp, tcp] = rows::to_dns(settings);
    plan.flows(back, DNS, &[udp]);
    plan.flows("client-1", DNS, &[tcp]);
    plan.new_pods(&nodes[..nodes.len().min(MOST_NEW_POD_NODES)]);
    plan.flows("host-client", "host-server", &[rows::canary(settings)]);
    for (number, node) in (1..).zip(nodes) {
        plan.pod(&format!("node-watch-{number}"), node, Part::NodeWatch);
    }
    if outside {
        plan.outside(near, back);
    }
    if settings.names {
        plan.names(near);
    }
    if settings.ipv6 {
        plan.ipv6(back);
    }
    plan.traffic
}

/// Plans the traffic of a calibration: from the first node to the second, packets and a held connection,
/// `rate` probes a second each; empty with fewer than two nodes.
pub(super) fn calibration(nodes: &[String], rate: u32) -> Traffic {
    let mut plan = Plan { traffic: Traffic::default(), settings: Settings::default() };
    let [near, far, ..] = nodes else { return plan.traffic };
    plan.pod("client-1", near, Part::Client);
    plan.pod("host-client", near, Part::HostClient);
    plan.pod("host-server", far, Part::HostServer);
    plan.pod("open-server", far, Part::OpenServer);
    plan.flows("client-1", "open-server", &rows::to_calibrate(rate));
    plan.flows("host-client", "host-server", &[rows::canary(&plan.settings)]);
    plan.pod("node-watch-1", near, Part::NodeWatch);
    plan.traffic
}

/// The traffic while it is planned.
struct Plan {
    traffic: Traffic,
    settings: Settings,
}

impl Plan {
    fn pod(&mut self, name: &str, node: &str, part: Part) {
        let pod = ProbePod { name: name.into(), node: node.into(), part, listeners: part.listeners() };
        self.traffic.pods.push(pod);
    }

    fn service(&mut self, name: &str, selector: BTreeMap<String, String>) {
        let ports = Part::Server.listeners();
        let service = ProbeService { name: name.into(), selector, ports, on_nodes: false };
        self.traffic.services.push(service);
    }

    fn service_of(&mut self, pod: &str) {
        self.service(pod, named(pod));
    }

    /// Plans the servers that policies select, each with its Service, and one Service of them all.
    fn servers(&mut self, nodes: &[String]) {
        for (number, node) in (1..).zip(nodes) {
            let server = format!("server-{number}");
            self.pod(&server, node, Part::Server);
            self.service_of(&server);
            self.flows("client-1", &server, &rows::to_servers(&self.settings));
            for denied in rows::to_servers_denied(&self.settings) {
                let flow = self.flow(denied.client, &server, &denied.row);
                let path = flow.id.split_once('/').map_or_else(String::new, |(_, path)| path.to_owned());
                flow.id = format!("{}/{path}", denied.name);
                flow.http_path = flow.http_path.as_ref().map(|_| denied.http_path.to_owned());
            }
        }
        self.service(ALL_SERVERS, Part::Server.labels());
        self.flows("client-1", ALL_SERVERS, &rows::to_all_servers(&self.settings));
    }

    /// Plans the servers that no policy selects, which one client pings on both nodes.
    fn open_servers(&mut self, near: &str, far: &str) {
        let ping = [rows::ping(&self.settings)];
        self.pod("open-server", far, Part::OpenServer);
        self.flows("client-1", "open-server", &ping);
        if near != far {
            self.pod("open-server-near", near, Part::OpenServer);
            self.flows("client-1", "open-server-near", &ping);
        }
    }

    /// Plans new pods on each node; the flow's client gives its name to the pods that are made for it.
    fn new_pods(&mut self, nodes: &[String]) {
        for (number, node) in (1..).zip(nodes) {
            let name = format!("new-pod-{number}");
            self.pod(&name, node, Part::NewPod);
            let deadline_ns = u64::from(self.settings.pod_deadline_ms) * 1_000_000;
            let row = rows::from_new_pods(&self.settings);
            let flow = self.flow(&name, "open-server", &row);
            (flow.slow_ns, flow.deadline_ns) = (deadline_ns / 2, deadline_ns);
        }
    }

    /// Plans what asks from a host outside of the cluster, over a port of a node, and what is asked there by a pod.
    fn outside(&mut self, entry: &str, client: &str) {
        let row = rows::from_outside(&self.settings);
        let ports = vec![Listener { protocol: row.protocol, port: row.port }];
        let (name, selector) = ("open-server".to_owned(), named("open-server"));
        self.traffic.services.push(ProbeService { name, selector, ports, on_nodes: true });
        self.pod("outside-client", OUTSIDE_HOST, Part::OutsideClient);
        self.pod("outside-server", OUTSIDE_HOST, Part::OutsideServer);
        self.flow("outside-client", "open-server", &row).entry = Some(entry.into());
        self.flows(client, "outside-server", &[rows::to_outside(&self.settings)]);
    }

    /// Plans a pod that knows an address outside of the cluster, which has a name there, and tries one that has none.
    fn names(&mut self, node: &str) {
        let [named, nameless] = OUTSIDE;
        self.traffic.names.push(OutsideName { name: OUTSIDE_NAME.into(), address: named });
        self.pod("named-server", node, Part::NamedServer);
        self.pod("name-client", node, Part::NameClient);
        for (row, name) in rows::to_names(&self.settings) {
            let address = if row.kind == Kind::Deny { nameless } else { named };
            let flow = self.flow("name-client", "named-server", &row);
            let path = flow.id.split_once('/').map_or_else(String::new, |(_, path)| path.to_owned());
            flow.id = format!("{name}/{path}");
            flow.address = Some(address.into());
        }
    }

    /// Plans what is asked at IPv6 addresses, of the open servers on both nodes.
    fn ipv6(&mut self, client: &str) {
        let servers = self.traffic.pods.iter().filter(|pod| pod.part == Part::OpenServer);
        let servers: Vec<_> = servers.map(|pod| pod.name.clone()).collect();
        for server in servers {
            self.flows(client, &server, &rows::over_ipv6(&self.settings));
        }
    }

    fn flows(&mut self, client: &str, server: &str, rows: &[Row]) {
        for row in rows {
            self.flow(client, server, row);
        }
    }

    fn flow(&mut self, client: &str, server: &str, row: &Row) -> &mut FlowSpec {
        let server_nodes = self.nodes_behind(server);
        let path = Path { place: self.place(client, server), via: row.via, policy: row.policy };
        let service = matches!(row.via, Via::ClusterIp | Via::NodePort).then(|| server.to_owned());
        // A Service stands where its servers are; nothing is known of the DNS server yet.
        let server = match self.planned(server) {
            Some(pod) => End { pod: pod.name.clone(), node: pod.node.clone() },
            None => End { pod: server.into(), node: server_nodes.join(", ") },
        };
        // The third server shares its path with the second, and large requests theirs with small ones.
        let suffix = match row.bytes {
            _ if server.pod == "server-3" => "/server-3".to_owned(),
            0 => String::new(),
            bytes => format!("/{bytes}-bytes"),
        };
        let [place, via, policy] =
            [path.place.to_string(), path.via.to_string(), path.policy.to_string()].map(|words| slug(&words));
        let ms = |ms: u32| u64::from(ms) * 1_000_000;
        self.traffic.flows.push(FlowSpec {
            id: format!("{}-{}/{place}/{via}/{policy}{suffix}", row.kind, row.protocol),
            kind: row.kind,
            protocol: row.protocol,
            layer: layer(row),
            service,
            entry: None,
            client: End {
                pod: client.into(),
                node: self.planned(client).map(|pod| pod.node.clone()).unwrap_or_default(),
            },
            server,
            server_nodes,
            path,
            address: None,
            port: row.port,
            bytes: row.bytes,
            http_path: matches!(row.protocol, Protocol::Http | Protocol::Http2).then(|| PUBLIC_PATH.into()),
            query: (row.kind == Kind::Dns).then(|| Query { name: ALL_SERVERS.into(), address: None }),
            period_ns: row.period_ns,
            slow_ns: ms(self.settings.slow_ms),
            deadline_ns: ms(self.settings.deadline_ms),
            expect: if row.kind == Kind::Deny { Expectation::Blocked } else { Expectation::Answered },
        });
        let last = self.traffic.flows.len() - 1;
        &mut self.traffic.flows[last]
    }

    fn planned(&self, pod: &str) -> Option<&ProbePod> {
        self.traffic.pods.iter().find(|planned| planned.name == pod)
    }

    /// Names the nodes of the pods that a Service selects; none for what is no Service of several.
    fn nodes_behind(&self, service: &str) -> Vec<String> {
        let servers = self.traffic.pods.iter().filter(|pod| pod.part == Part::Server);
        if service == ALL_SERVERS { servers.map(|pod| pod.node.clone()).collect() } else { Vec::new() }
    }

    fn place(&self, client: &str, server: &str) -> Place {
        let (Some(client), Some(server)) = (self.planned(client), self.planned(server)) else {
            return Place::AnyNode;
        };
        match (client.part.is_on_host(), server.part.is_on_host()) {
            _ if client.part.is_outside() => Place::OutsideToPod,
            _ if server.part.is_outside() => Place::PodToOutside,
            (true, false) => Place::HostToPod,
            (false, true) => Place::PodToHost,
            _ if client.node == server.node => Place::SameNode,
            _ => Place::CrossNode,
        }
    }
}

/// The labels that select one pod.
fn named(pod: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(NAME_LABEL.to_owned(), pod.to_owned())])
}

fn layer(row: &Row) -> Layer {
    match (row.kind, row.policy) {
        (Kind::Canary, _) => Layer::Canary,
        (Kind::Deny, _) => Layer::Policy,
        (Kind::Pod, _) => Layer::Control,
        (_, Policy::L7Policy) => Layer::L7,
        (Kind::Packet, _) => Layer::L3,
        (Kind::Held | Kind::New | Kind::Dns, _) => Layer::L4,
    }
}

fn grants() -> Vec<Grant> {
    let public = HttpRule { method: "GET".into(), path: PUBLIC_PATH.into() };
    [
        (Protocol::Udp, UDP_PORT, Vec::new()),
        (Protocol::Tcp, TCP_PORT, Vec::new()),
        (Protocol::Tcp, HTTP_PORT, Vec::new()),
        (Protocol::Tcp, HTTP2_PORT, Vec::new()),
        (Protocol::Tcp, L7_PORT, vec![public]),
    ]
    .into_iter()
    .map(|(transport, port, http)| Grant {
        client: Part::Client.labels(),
        server: Part::Server.labels(),
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
        "NodePort" => "node-port".into(),
        words => words.trim_start_matches("L3/").to_lowercase().replace(' ', "-"),
    }
}
