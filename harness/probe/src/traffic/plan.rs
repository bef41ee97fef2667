//! Plans pods, services and flows on the nodes of a cluster.

use std::collections::BTreeMap;

use model::{Layer, Protocol};

use super::{
    ALL_SERVERS, Grant, HttpRule, NAME_LABEL, OUTSIDE, OUTSIDE_HOST, OUTSIDE_NAME, OutsideName, Part,
    ProbePod, ProbeService, Settings, Traffic,
};
use crate::exchange::{Listener, PUBLIC_PATH};
use crate::flow::{End, Expectation, FlowSpec, Path, Place, Policy, Query, Via};
use crate::kinds;
use crate::kinds::row::{FIRST_CLIENT, Route, Row, STRANGER};

/// Stands for the cluster's DNS Service until its address is known.
const DNS: &str = "cluster-dns";

/// Servers beyond the third node add load and no new path.
const MOST_SERVERS: usize = 3;
/// New pods beyond the second node add load and no new path.
const MOST_NEW_POD_NODES: usize = 2;

/// Plans the standard traffic.
pub(super) fn standard(nodes: &[String], outside: bool, settings: &Settings) -> Traffic {
    let grants = grants(settings);
    let mut plan = Plan { traffic: Traffic { grants, ..Traffic::default() }, settings: settings.clone() };
    let Some(near) = nodes.first() else { return plan.traffic };
    let far = nodes.get(1).unwrap_or(near);
    // Each node sends a part of the probes: their processor time must not be missing to the agent of one node.
    let (last, open) =
        if near == far { (FIRST_CLIENT, "open-server") } else { ("client-2", "open-server-near") };
    plan.pod(FIRST_CLIENT, near, Part::Client);
    if last != FIRST_CLIENT {
        plan.pod(last, far, Part::Client);
    }
    plan.pod(STRANGER, near, Part::Stranger);
    plan.pod("host-client", far, Part::HostClient);
    plan.pod("host-server", near, Part::HostServer);
    plan.servers(&nodes[..nodes.len().min(MOST_SERVERS)]);
    plan.open_servers(near, far);
    plan.route(Route::OpenServer, last, open);
    plan.route(Route::FromHost, "host-client", open);
    plan.route(Route::ToHost, last, "host-server");
    plan.route(Route::ClusterDns, last, DNS);
    plan.new_pods(&nodes[..nodes.len().min(MOST_NEW_POD_NODES)]);
    plan.route(Route::BetweenHosts, "host-client", "host-server");
    for (number, node) in (1..).zip(nodes) {
        plan.pod(&format!("node-watch-{number}"), node, Part::NodeWatch);
    }
    if outside {
        plan.outside(near, last);
    }
    if settings.names {
        plan.names(near);
    }
    if settings.ipv6 {
        plan.ipv6(last);
    }
    plan.traffic
}

/// Plans the traffic of a calibration; empty with fewer than two nodes.
pub(super) fn calibration(nodes: &[String], rate: u32) -> Traffic {
    let settings = Settings { packet_rate: rate, held_rate: rate, ..Settings::default() };
    let mut plan = Plan { traffic: Traffic::default(), settings };
    let [near, far, ..] = nodes else { return plan.traffic };
    plan.pod(FIRST_CLIENT, near, Part::Client);
    plan.pod("host-client", near, Part::HostClient);
    plan.pod("host-server", far, Part::HostServer);
    plan.pod("open-server", far, Part::OpenServer);
    plan.route(Route::Calibration, FIRST_CLIENT, "open-server");
    plan.route(Route::BetweenHosts, "host-client", "host-server");
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

    /// Plans the servers that policies select, each with a Service, and one Service of them all.
    fn servers(&mut self, nodes: &[String]) {
        for (number, node) in (1..).zip(nodes) {
            let server = format!("server-{number}");
            self.pod(&server, node, Part::Server);
            self.service(&server, named(&server));
            self.route(Route::Servers, FIRST_CLIENT, &server);
        }
        self.service(ALL_SERVERS, Part::Server.labels());
        self.route(Route::AllServers, FIRST_CLIENT, ALL_SERVERS);
    }

    /// Plans the servers that no policy selects.
    fn open_servers(&mut self, near: &str, far: &str) {
        self.pod("open-server", far, Part::OpenServer);
        self.route(Route::OpenServers, FIRST_CLIENT, "open-server");
        if near != far {
            self.pod("open-server-near", near, Part::OpenServer);
            self.route(Route::OpenServers, FIRST_CLIENT, "open-server-near");
        }
    }

    /// Plans new pods on each node; the client of their flow gives them its name.
    fn new_pods(&mut self, nodes: &[String]) {
        for (number, node) in (1..).zip(nodes) {
            let name = format!("new-pod-{number}");
            self.pod(&name, node, Part::NewPod);
            self.route(Route::NewPods, &name, "open-server");
        }
    }

    /// Plans a host outside the cluster: its probes enter through a node port of `entry`, and `client` probes it.
    fn outside(&mut self, entry: &str, client: &str) {
        let from_outside = kinds::rows(Route::FromOutside, &self.settings);
        let ports =
            from_outside.iter().map(|row| Listener { protocol: row.protocol, port: row.port }).collect();
        let (name, selector) = ("open-server".to_owned(), named("open-server"));
        self.traffic.services.push(ProbeService { name, selector, ports, on_nodes: true });
        self.pod("outside-client", OUTSIDE_HOST, Part::OutsideClient);
        self.pod("outside-server", OUTSIDE_HOST, Part::OutsideServer);
        for row in from_outside {
            self.flow("outside-client", "open-server", &row).entry = Some(entry.into());
        }
        self.route(Route::ToOutside, client, "outside-server");
    }

    /// Plans a pod that probes an address outside the cluster that has a name, and one that has none.
    fn names(&mut self, node: &str) {
        let [named, _] = OUTSIDE;
        self.traffic.names.push(OutsideName { name: OUTSIDE_NAME.into(), address: named });
        self.pod("named-server", node, Part::NamedServer);
        self.pod("name-client", node, Part::NameClient);
        for row in kinds::rows(Route::Names, &self.settings) {
            let address = row.address.unwrap_or(named);
            self.flow("name-client", "named-server", &Row { address: Some(address), ..row });
        }
    }

    /// Plans probes of IPv6 addresses, of the open servers on both nodes.
    fn ipv6(&mut self, client: &str) {
        let servers = self.traffic.pods.iter().filter(|pod| pod.part == Part::OpenServer);
        let servers: Vec<_> = servers.map(|pod| pod.name.clone()).collect();
        for server in servers {
            self.route(Route::OverIpv6, client, &server);
        }
    }

    /// Plans the flows of all kinds on a route.
    fn route(&mut self, route: Route, client: &str, server: &str) {
        for row in kinds::rows(route, &self.settings) {
            self.flow(row.client.unwrap_or(client), server, &row);
        }
    }

    fn flow(&mut self, client: &str, server: &str, row: &Row) -> &mut FlowSpec {
        let kind = kinds::of(row.kind);
        let server_nodes = self.nodes_behind(server);
        let path = Path { place: self.place(client, server), via: row.via, policy: row.policy };
        let service = matches!(row.via, Via::ClusterIp | Via::NodePort).then(|| server.to_owned());
        // A Service is on the nodes of its servers; those of the DNS server are not known yet.
        let server = match self.planned(server) {
            Some(pod) => End { pod: pod.name.clone(), node: pod.node.clone() },
            None => End { pod: server.into(), node: server_nodes.join(", ") },
        };
        let ms = |ms: u32| u64::from(ms) * 1_000_000;
        let (slow_ns, deadline_ns) = match row.deadline_ms {
            Some(deadline_ms) => (ms(deadline_ms) / 2, ms(deadline_ms)),
            None => (ms(self.settings.slow_ms), ms(self.settings.deadline_ms)),
        };
        let is_http = matches!(row.protocol, Protocol::Http | Protocol::Http2);
        self.traffic.flows.push(FlowSpec {
            id: id(row, path, &server),
            kind: row.kind,
            protocol: row.protocol,
            layer: layer(kind.layer(), row.policy),
            service,
            entry: None,
            client: End {
                pod: client.into(),
                node: self.planned(client).map(|pod| pod.node.clone()).unwrap_or_default(),
            },
            server,
            server_nodes,
            path,
            address: row.address.map(Into::into),
            port: row.port,
            bytes: row.bytes,
            token: None,
            http_path: is_http.then(|| row.http_path.unwrap_or(PUBLIC_PATH).into()),
            query: row.query.map(|name| Query { name: name.into(), address: None }),
            period_ns: row.period_ns,
            slow_ns,
            deadline_ns,
            expect: kind.expects(),
        });
        let last = self.traffic.flows.len() - 1;
        &mut self.traffic.flows[last]
    }

    fn planned(&self, pod: &str) -> Option<&ProbePod> {
        self.traffic.pods.iter().find(|planned| planned.name == pod)
    }

    /// Returns the nodes of the pods that a Service of several servers selects; none for other Services.
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

/// Returns the labels that select one pod.
fn named(pod: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(NAME_LABEL.to_owned(), pod.to_owned())])
}

/// Names a flow by what is probed and on which path.
fn id(row: &Row, path: Path, server: &End) -> String {
    let kind = row.name.map_or_else(|| format!("{}-{}", row.kind, row.protocol), str::to_owned);
    // The third server shares its path with the second, and large requests theirs with small ones.
    let suffix = match row.bytes {
        _ if server.pod == "server-3" => "/server-3".to_owned(),
        0 => String::new(),
        bytes => format!("/{bytes}-bytes"),
    };
    format!("{kind}/{}/{}/{}{suffix}", path.place.id(), path.via.id(), path.policy.id())
}

/// Returns the layer of a flow: a proxy makes traffic that must be answered L7.
fn layer(layer: Layer, policy: Policy) -> Layer {
    match (layer, policy) {
        (Layer::L3 | Layer::L4, Policy::L7Policy) => Layer::L7,
        (layer, _) => layer,
    }
}

/// Returns what policies must grant: every flow that must be answered and crosses one.
fn grants(settings: &Settings) -> Vec<Grant> {
    let rows = [Route::Servers, Route::AllServers].into_iter().flat_map(|route| kinds::rows(route, settings));
    let granted = rows.filter(|row| {
        kinds::of(row.kind).expects() == Expectation::Answered && row.policy != Policy::NoPolicy
    });
    let by_port: BTreeMap<u16, Row> = granted.map(|row| (row.port, row)).collect();
    by_port.into_values().map(|row| grant(&row)).collect()
}

fn grant(row: &Row) -> Grant {
    let path = row.http_path.unwrap_or(PUBLIC_PATH);
    let public = HttpRule { method: "GET".into(), path: path.into() };
    Grant {
        client: Part::Client.labels(),
        server: Part::Server.labels(),
        transport: if row.protocol == Protocol::Udp { Protocol::Udp } else { Protocol::Tcp },
        port: row.port,
        http: if row.policy == Policy::L7Policy { vec![public] } else { Vec::new() },
    }
}
