//! The node's packet rules, as an nftables script.
//!
//! The table belongs to the kernel, so it stays in force while no agent runs. Base chains never change; each only jumps to
//! the chains of the current generation, whose names end in its number. A script adds a generation and moves the jumps in
//! one transaction. It removes nothing: a packet on its way through the old generation must still find every element of
//! its maps, which a deletion in the same transaction would take away under it. [`super::table`] sweeps up afterwards.
//!
//! Order of a packet from a pod: service translation (priority -100), then policy (priority -50) with the real
//! destination in sight, egress of the sender first, ingress of the receiver next; an HTTP rule hands the packet to the
//! agent's proxy. If no proxy listens, the connection is reset: traffic never passes around the proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::events::{Queue, Reason};
use super::{GENERATION, TABLE, tracked};
use crate::behaviour::connection_table::UnknownTcp;
use crate::behaviour::conntrack_gc::Bounds;
use crate::identity::{HOST, WORLD};
use crate::policy::resolve::{Allow, Peers, Transport, Verdicts};
use crate::service::Frontend;

/// The mark of packets that the routing table hands to the proxy.
pub(crate) const PROXY_MARK: u32 = 0x200;

/// Source ports by which a node marks masqueraded traffic of the world, as a tunnel would by the identity in its header.
/// The nodes' own connections have none of these.
const WORLD_PORTS: &str = "61000-65535";
/// Connections that came in over a port of this node.
const BY_NODE_PORT: &str = "ct status dnat ct mark 1";

/// All that the rules depend on.
#[derive(Debug)]
pub(crate) struct Ruleset {
    /// Pods of this node.
    pub(crate) pod_cidr: Ipv4Net,
    /// Prefixes that see pods by their own address: every node's pods and the nodes themselves.
    pub(crate) cluster: BTreeSet<Ipv4Net>,
    /// Whether traffic that leaves the cluster takes the node's address.
    pub(crate) masquerade: bool,
    /// Whether masqueraded clients outside of the cluster have the identity of the node.
    pub(crate) world_is_host: bool,
    /// What becomes of TCP packets that begin no connection and belong to none that is tracked.
    pub(crate) unknown_tcp: UnknownTcp,
    /// The identity of each address.
    pub(crate) ipcache: BTreeMap<Ipv4Addr, u32>,
    /// Services.
    pub(crate) frontends: Vec<Frontend>,
    /// Policy of the pods of this node.
    pub(crate) endpoints: BTreeMap<Ipv4Addr, Verdicts>,
    /// The port of the proxy on the loopback address.
    pub(crate) proxy_port: u16,
    /// The port on which it takes questions to the DNS.
    pub(crate) dns_port: u16,
    /// The queue of dropped packets, while a monitor is connected.
    pub(crate) events: Option<Queue>,
    /// How many connections the node can hold, where that is limited.
    pub(crate) bounds: Option<Bounds>,
}

/// Base chains: name, hook, and the chain of the current generation that each jumps to.
const HOOKS: [(&str, &str, &str); 5] = [
    ("nat_prerouting", "type nat hook prerouting priority -100", "translate"),
    ("nat_output", "type nat hook output priority -100", "translate"),
    ("policy_prerouting", "type filter hook prerouting priority -50", "enforce"),
    ("filter_output", "type filter hook output priority 0", "refuse"),
    ("nat_postrouting", "type nat hook postrouting priority 100", "leave"),
];

impl Ruleset {
    /// Writes the script that makes these rules generation `generation`.
    pub(crate) fn render(&self, generation: u64) -> String {
        let mut script = Script::begin(generation, self.events, self.bounds);
        self.write_lookups(&mut script);
        for frontend in self.frontends.iter().filter(|it| !it.backends.is_empty()) {
            script.service(frontend);
        }
        for (ip, verdicts) in &self.endpoints {
            if let Some(allows) = &verdicts.egress {
                script.egress(*ip, allows, self.dns_port);
            }
            if let Some(allows) = &verdicts.ingress {
                script.ingress(*ip, allows, self.proxy_port, self.world_is_host);
            }
        }
        self.write_chains(&mut script);
        if let Some(bounds) = self.bounds {
            script.chain("track", &bounds.rules(self.pod_cidr, &drops(self.events, Reason::NoPlace)));
        }
        script.finish(self.bounds.map(|_| tracked::HOOK))
    }

    fn write_lookups(&self, script: &mut Script) {
        let ipcache = self.ipcache.iter().map(|(ip, identity)| format!("{ip} : {identity}")).collect();
        script.set("map", "ipcache", "ipv4_addr : mark", ipcache);
        let (served, unserved): (Vec<&Frontend>, Vec<&Frontend>) =
            self.frontends.iter().partition(|it| !it.backends.is_empty());
        let key = |it: &Frontend| format!("{} . {} . {}", it.ip, it.transport, it.port);
        let to = |it: &Frontend| script.name(&service_chain(it));
        let services = served.iter().map(|it| format!("{} : goto {}", key(it), to(it))).collect();
        let node_port =
            |it: &&Frontend| Some(format!("{} . {} : goto {}", it.transport, it.node_port?, to(it)));
        let node_ports = served.iter().filter_map(node_port).collect();
        script.set("map", "services", "ipv4_addr . inet_proto . inet_service : verdict", services);
        script.set("map", "node_ports", "inet_proto . inet_service : verdict", node_ports);
        let unserved = unserved.iter().map(|it| key(it)).collect();
        script.set("set", "unserved", "ipv4_addr . inet_proto . inet_service", unserved);
        let tcp = served.iter().filter(|it| it.transport == Transport::Tcp).flat_map(|it| &it.backends);
        let tcp: BTreeSet<String> = tcp.map(|(ip, port)| format!("{ip} . {port}")).collect();
        script.set("set", "backends", "ipv4_addr . inet_service", tcp.into_iter().collect());
        let own = self.endpoints.keys().map(|ip| format!("{ip} . {ip}")).collect();
        script.set("set", "hairpin", "ipv4_addr . ipv4_addr", own);
        let enforced = |prefix: &str, chosen: fn(&Verdicts) -> bool| {
            let chosen = self.endpoints.iter().filter(|(_, verdicts)| chosen(verdicts));
            let jump = |ip: Ipv4Addr| format!("{ip} : jump {}", script.name(&endpoint_chain(prefix, ip)));
            chosen.map(|(ip, _)| jump(*ip)).collect()
        };
        let (egress, ingress) =
            (enforced("egress", |it| it.egress.is_some()), enforced("ingress", |it| it.ingress.is_some()));
        script.set("map", "egress", "ipv4_addr : verdict", egress);
        script.set("map", "ingress", "ipv4_addr : verdict", ingress);
    }

    /// The rules for packets of pods in the midst of a connection that is not tracked. The node's own connections are left
    /// alone: those that are older than the table were never tracked.
    fn unknown_tcp(&self, backends: &str) -> Vec<String> {
        let midst = "ct state new tcp flags & (fin | syn | rst | ack) != syn";
        let (pods, refuse) = (self.pod_cidr, "reject with tcp reset");
        match self.unknown_tcp {
            UnknownTcp::PickUp => {
                vec![format!("ip daddr {pods} {midst} ip saddr . tcp sport {backends} drop")]
            }
            UnknownTcp::Refuse => {
                ["saddr", "daddr"].map(|end| format!("ip {end} {pods} {midst} {refuse}")).to_vec()
            }
        }
    }

    fn write_chains(&self, script: &mut Script) {
        let at = |set: &str| format!("@{}", script.name(set));
        let unserved = format!("ip daddr . meta l4proto . th dport {} reject", at("unserved"));
        let hairpin = format!("ip saddr . ip daddr {}", at("hairpin"));
        let translate = vec![
            format!("ip daddr . meta l4proto . th dport vmap {}", at("services")),
            format!("fib daddr type local ct mark set 1 meta l4proto . th dport vmap {}", at("node_ports")),
        ];
        let mut enforce = vec![
            unserved.clone(),
            "ct direction reply accept".to_owned(),
            "ct state related accept".to_owned(),
        ];
        enforce.extend(self.unknown_tcp(&at("backends")));
        enforce.extend([
            format!("{hairpin} accept"),
            format!("ip saddr vmap {}", at("egress")),
            format!("ip daddr vmap {}", at("ingress")),
        ]);
        let cluster: BTreeSet<Ipv4Net> = self.cluster.iter().copied().chain([self.pod_cidr]).collect();
        let mut leave = vec![format!("{hairpin} masquerade")];
        if !self.world_is_host {
            let world = outside("saddr", cluster.iter().copied());
            let told = format!("meta l4proto {{ tcp, udp }} masquerade to :{WORLD_PORTS}");
            leave.push(format!("{BY_NODE_PORT} {world}{told}"));
        }
        leave.push(format!("{BY_NODE_PORT} masquerade"));
        if self.masquerade {
            leave.push(format!("ip saddr {} {}masquerade", self.pod_cidr, outside("daddr", cluster)));
        }
        script.chain("translate", &translate);
        script.chain("enforce", &enforce);
        script.chain("refuse", &[unserved]);
        script.chain("leave", &leave);
    }
}

/// The script as it is written.
struct Script {
    generation: u64,
    /// The rules that drop a packet which policy does not let pass.
    drops: Vec<String>,
    lines: Vec<String>,
}

impl Script {
    fn begin(generation: u64, events: Option<Queue>, bounds: Option<Bounds>) -> Self {
        let mut lines = vec![format!("table {TABLE} {{")];
        lines.extend(events.into_iter().flat_map(Queue::objects));
        lines.extend(bounds.into_iter().flat_map(Bounds::objects));
        Self { generation, drops: drops(events, Reason::Policy), lines }
    }

    /// The name of a map, set or chain in this generation.
    fn name(&self, base: &str) -> String {
        format!("{base}{GENERATION}{}", self.generation)
    }

    fn set(&mut self, kind: &str, name: &str, key: &str, elements: Vec<String>) {
        self.lines.push(format!("\t{kind} {} {{\n\t\ttype {key}", self.name(name)));
        if !elements.is_empty() {
            self.lines.push(format!("\t\telements = {{ {} }}", elements.join(", ")));
        }
        self.lines.push("\t}".to_owned());
    }

    fn chain(&mut self, name: &str, rules: &[String]) {
        self.lines.push(format!("\tchain {} {{", self.name(name)));
        self.lines.extend(rules.iter().map(|rule| format!("\t\t{rule}")));
        self.lines.push("\t}".to_owned());
    }

    fn service(&mut self, frontend: &Frontend) {
        let backends = frontend.backends.iter().enumerate();
        let backends = backends.map(|(index, (ip, port))| format!("{index} : {ip} . {port}"));
        let rule = format!(
            "meta l4proto {} dnat ip addr . port to numgen random mod {} map {{ {} }}",
            frontend.transport,
            frontend.backends.len(),
            join(backends)
        );
        self.chain(&service_chain(frontend), &[rule]);
    }

    /// Rules for what an endpoint may reach; packets that may leave go on to the receiver's ingress rules. A rule on
    /// names is more to the point than one that says nothing of them, and comes first.
    fn egress(&mut self, ip: Ipv4Addr, allows: &[Allow], dns_port: u16) {
        let mut rules = self.identify("daddr");
        let (plain, dns): (Vec<&Allow>, Vec<&Allow>) = allows.iter().partition(|it| it.dns.is_empty());
        for it in dns.into_iter().flat_map(|it| matches(it, "daddr")) {
            rules.push(to_proxy(&it, dns_port));
            rules.push(format!("{it}reject"));
        }
        let allowed = plain.into_iter().flat_map(|it| matches(it, "daddr"));
        rules.extend(allowed.map(|it| format!("{it}meta mark set 0 return")));
        rules.extend_from_slice(&self.drops);
        self.chain(&endpoint_chain("egress", ip), &rules);
    }

    /// Ingress rules of an endpoint. Nodes are always allowed: the kubelet probes its pods.
    fn ingress(&mut self, ip: Ipv4Addr, allows: &[Allow], proxy_port: u16, world_is_host: bool) {
        let mut rules = self.identify("saddr");
        rules.push(if world_is_host {
            // Through this node; through another it has that node's address.
            format!("meta mark {WORLD} {BY_NODE_PORT} meta mark set {HOST}")
        } else {
            let told = format!("meta l4proto {{ tcp, udp }} th sport {WORLD_PORTS}");
            format!("meta mark {HOST} {told} meta mark set {WORLD}")
        });
        rules.push(format!("meta mark {HOST} meta mark set 0 accept"));
        let (plain, http): (Vec<&Allow>, Vec<&Allow>) = allows.iter().partition(|it| it.http.is_empty());
        let plain = plain.into_iter().flat_map(|it| matches(it, "saddr"));
        rules.extend(plain.map(|it| format!("{it}meta mark set 0 accept")));
        for it in http.into_iter().flat_map(|it| tcp_matches(it, "saddr")) {
            rules.push(to_proxy(&it, proxy_port));
            rules.push(format!("{it}reject with tcp reset"));
        }
        rules.extend_from_slice(&self.drops);
        self.chain(&endpoint_chain("ingress", ip), &rules);
    }

    /// Puts the identity of the peer into the mark, where the rules that follow look for it.
    fn identify(&self, peer: &str) -> Vec<String> {
        let known = format!("meta mark set ip {peer} map @{}", self.name("ipcache"));
        vec![format!("meta mark set {WORLD}"), known]
    }

    /// Adds the base chains and moves their jumps to this generation.
    fn finish(mut self, further: Option<(&str, &str, &str)>) -> String {
        let all = || HOOKS.into_iter().chain(further);
        let hooks =
            all().map(|(name, hook, _)| format!("\tchain {name} {{\n\t\t{hook}; policy accept;\n\t}}"));
        self.lines.extend(hooks);
        self.lines.push("}".to_owned());
        for (name, _, target) in all() {
            let target = self.name(target);
            self.lines.push(format!("flush chain {TABLE} {name}\nadd rule {TABLE} {name} jump {target}"));
        }
        self.lines.join("\n") + "\n"
    }
}

/// Redirects a packet to a port of the proxy, if it listens.
fn to_proxy(it: &str, port: u16) -> String {
    format!("{it}tproxy ip to 127.0.0.1:{port} meta mark set {PROXY_MARK:#x} accept")
}

fn drops(events: Option<Queue>, reason: Reason) -> Vec<String> {
    events.map_or_else(|| vec!["counter drop".to_owned()], |queue| queue.drops(reason))
}

fn matches(allow: &Allow, peer: &str) -> Vec<String> {
    let who = peers(&allow.peers, peer);
    if allow.ports.is_empty() {
        return vec![who];
    }
    let of = |transport| ports(allow, transport).map(|ports| format!("{who}{ports}"));
    [Transport::Tcp, Transport::Udp].into_iter().filter_map(of).collect()
}

/// HTTP rules apply to TCP alone; without ports they apply to every TCP port.
fn tcp_matches(allow: &Allow, peer: &str) -> Option<String> {
    let who = peers(&allow.peers, peer);
    let ports =
        if allow.ports.is_empty() { Some(all_of(Transport::Tcp)) } else { ports(allow, Transport::Tcp) };
    ports.map(|ports| format!("{who}{ports}"))
}

fn peers(peers: &Peers, peer: &str) -> String {
    match peers {
        Peers::Any => String::new(),
        Peers::Identities(ids) => format!("meta mark {{ {} }} ", join(ids)),
        Peers::Cidr { cidr, except } => {
            format!("meta mark {WORLD} ip {peer} {cidr} {}", outside(peer, except.iter().copied()))
        }
    }
}

/// Holds for addresses outside all of `prefixes`. One comparison each, not a set: the kernel fills sets of intervals a
/// moment after the rules that look into them are in force, and until then all the world would be outside.
fn outside(end: &str, prefixes: impl IntoIterator<Item = Ipv4Net>) -> String {
    prefixes.into_iter().map(|prefix| format!("ip {end} != {prefix} ")).collect()
}

fn ports(allow: &Allow, transport: Transport) -> Option<String> {
    let ports: Vec<u16> =
        allow.ports.iter().filter(|(it, _)| *it == transport).map(|(_, port)| *port).collect();
    match ports.is_empty() {
        true => None,
        false if ports.contains(&0) => Some(all_of(transport)),
        false => Some(format!("{transport} dport {{ {} }} ", join(ports))),
    }
}

fn all_of(transport: Transport) -> String {
    format!("meta l4proto {transport} ")
}

fn service_chain(frontend: &Frontend) -> String {
    format!("service_{}_{}_{}", underscored(frontend.ip), frontend.transport, frontend.port)
}

fn endpoint_chain(prefix: &str, ip: Ipv4Addr) -> String {
    format!("{prefix}_{}", underscored(ip))
}

fn underscored(ip: Ipv4Addr) -> String {
    ip.to_string().replace('.', "_")
}

fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

#[cfg(test)]
#[path = "ruleset_tests.rs"]
mod tests;
