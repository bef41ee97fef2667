//! The node's packet rules, as one nftables script.
//!
//! The script replaces the table in one transaction: packets see the old rules or the new ones, never a mixture and
//! never none. The table belongs to the kernel, so it stays in force while no agent runs.
//!
//! Order of a packet from a pod: service translation (priority -100), then policy (priority -50) with the real
//! destination in sight, egress of the sender first, ingress of the receiver next; an HTTP rule hands the packet to the
//! agent's proxy. If no proxy listens, the connection is reset: traffic never passes around the proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use super::cidr::Cidr;
use crate::identity::{HOST, WORLD};
use crate::policy::resolve::{Allow, Peers, Transport, Verdicts};
use crate::service::Frontend;

/// The table's name.
pub(crate) const TABLE: &str = "inet cilium";
/// The mark of packets that the routing table hands to the proxy.
pub(crate) const PROXY_MARK: u32 = 0x200;

/// All that the rules depend on.
#[derive(Debug)]
pub(crate) struct Ruleset {
    /// Pods of this node.
    pub(crate) pod_cidr: Cidr,
    /// Prefixes that see pods by their own address: every node's pods and the nodes themselves.
    pub(crate) cluster: BTreeSet<Cidr>,
    /// Whether traffic that leaves the cluster takes the node's address.
    pub(crate) masquerade: bool,
    /// Who owns an address.
    pub(crate) ipcache: BTreeMap<Ipv4Addr, u32>,
    /// Services.
    pub(crate) frontends: Vec<Frontend>,
    /// Policy of the pods of this node.
    pub(crate) endpoints: BTreeMap<Ipv4Addr, Verdicts>,
    /// The port of the proxy on the loopback address.
    pub(crate) proxy_port: u16,
}

impl Ruleset {
    /// Writes the script.
    pub(crate) fn render(&self) -> String {
        let mut out = vec![format!("table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{")];
        self.write_lookups(&mut out);
        for frontend in self.frontends.iter().filter(|it| !it.backends.is_empty()) {
            write_service(&mut out, frontend);
        }
        for (ip, verdicts) in &self.endpoints {
            if let Some(allows) = &verdicts.egress {
                write_egress(&mut out, *ip, allows);
            }
            if let Some(allows) = &verdicts.ingress {
                write_ingress(&mut out, *ip, allows, self.proxy_port);
            }
        }
        self.write_hooks(&mut out);
        out.push("}\n".to_owned());
        out.join("\n")
    }

    fn write_lookups(&self, out: &mut Vec<String>) {
        let ipcache = self.ipcache.iter().map(|(ip, identity)| format!("{ip} : {identity}"));
        write_set(out, "map ipcache", "ipv4_addr : mark", ipcache);
        let (served, unserved): (Vec<&Frontend>, Vec<&Frontend>) =
            self.frontends.iter().partition(|it| !it.backends.is_empty());
        let key = |it: &Frontend| format!("{} . {} . {}", it.ip, it.transport, it.port);
        let services = served.iter().map(|it| format!("{} : goto {}", key(it), service_chain(it)));
        write_set(out, "map services", "ipv4_addr . inet_proto . inet_service : verdict", services);
        let node_ports = served.iter().filter_map(|it| {
            Some(format!("{} . {} : goto {}", it.transport, it.node_port?, service_chain(it)))
        });
        write_set(out, "map node_ports", "inet_proto . inet_service : verdict", node_ports);
        let unserved = unserved.iter().map(|it| key(it));
        write_set(out, "set unserved", "ipv4_addr . inet_proto . inet_service", unserved);
        let own = self.endpoints.keys().map(|ip| format!("{ip} . {ip}"));
        write_set(out, "set hairpin", "ipv4_addr . ipv4_addr", own);
        let enforced = |prefix: &'static str, chosen: fn(&Verdicts) -> bool| {
            let chosen = self.endpoints.iter().filter(move |(_, verdicts)| chosen(verdicts));
            chosen.map(move |(ip, _)| format!("{ip} : jump {}", endpoint_chain(prefix, *ip)))
        };
        write_set(out, "map egress", "ipv4_addr : verdict", enforced("egress", |it| it.egress.is_some()));
        write_set(out, "map ingress", "ipv4_addr : verdict", enforced("ingress", |it| it.ingress.is_some()));
    }

    fn write_hooks(&self, out: &mut Vec<String>) {
        let unserved = "ip daddr . meta l4proto . th dport @unserved reject";
        write_chain(
            out,
            "translate",
            &[
                "ip daddr . meta l4proto . th dport vmap @services".to_owned(),
                "fib daddr type local ct mark set 1 meta l4proto . th dport vmap @node_ports".to_owned(),
            ],
        );
        let hook =
            |kind, hook, priority| format!("type {kind} hook {hook} priority {priority}; policy accept;");
        let translate = "jump translate".to_owned();
        write_chain(out, "nat_prerouting", &[hook("nat", "prerouting", -100), translate.clone()]);
        write_chain(out, "nat_output", &[hook("nat", "output", -100), translate]);
        write_chain(
            out,
            "policy_prerouting",
            &[
                hook("filter", "prerouting", -50),
                unserved.to_owned(),
                "ct direction reply accept".to_owned(),
                "ct state related accept".to_owned(),
                "ip saddr . ip daddr @hairpin accept".to_owned(),
                "ip saddr vmap @egress".to_owned(),
                "ip daddr vmap @ingress".to_owned(),
            ],
        );
        write_chain(out, "filter_output", &[hook("filter", "output", 0), unserved.to_owned()]);
        let mut leaving = vec![
            hook("nat", "postrouting", 100),
            "ip saddr . ip daddr @hairpin masquerade".to_owned(),
            "ct status dnat ct mark 1 masquerade".to_owned(),
        ];
        if self.masquerade {
            let cluster = join(self.cluster.iter().copied().chain([self.pod_cidr]).collect::<BTreeSet<_>>());
            leaving.push(format!("ip saddr {} ip daddr != {{ {cluster} }} masquerade", self.pod_cidr));
        }
        write_chain(out, "nat_postrouting", &leaving);
    }
}

fn write_service(out: &mut Vec<String>, frontend: &Frontend) {
    let backends =
        frontend.backends.iter().enumerate().map(|(index, (ip, port))| format!("{index} : {ip} . {port}"));
    let rule = format!(
        "meta l4proto {} dnat ip addr . port to numgen random mod {} map {{ {} }}",
        frontend.transport,
        frontend.backends.len(),
        join(backends)
    );
    write_chain(out, &service_chain(frontend), &[rule]);
}

/// Rules for what an endpoint may reach; packets that may leave go on to the receiver's ingress rules.
fn write_egress(out: &mut Vec<String>, ip: Ipv4Addr, allows: &[Allow]) {
    let mut rules = identify("daddr");
    let allowed = allows.iter().flat_map(|it| matches(it, "daddr"));
    rules.extend(allowed.map(|it| format!("{it}meta mark set 0 return")));
    rules.push("counter drop".to_owned());
    write_chain(out, &endpoint_chain("egress", ip), &rules);
}

/// Rules for who may reach an endpoint. Nodes always may: the kubelet probes its pods.
fn write_ingress(out: &mut Vec<String>, ip: Ipv4Addr, allows: &[Allow], proxy_port: u16) {
    let mut rules = identify("saddr");
    rules.push(format!("meta mark {HOST} meta mark set 0 accept"));
    let (plain, http): (Vec<&Allow>, Vec<&Allow>) = allows.iter().partition(|it| it.http.is_empty());
    let plain = plain.into_iter().flat_map(|it| matches(it, "saddr"));
    rules.extend(plain.map(|it| format!("{it}meta mark set 0 accept")));
    for proxied in http.into_iter().flat_map(|it| tcp_matches(it, "saddr")) {
        rules.push(format!(
            "{proxied}tproxy ip to 127.0.0.1:{proxy_port} meta mark set {PROXY_MARK:#x} accept"
        ));
        rules.push(format!("{proxied}reject with tcp reset"));
    }
    rules.push("counter drop".to_owned());
    write_chain(out, &endpoint_chain("ingress", ip), &rules);
}

/// Puts the identity of the peer into the mark, where the rules that follow look for it.
fn identify(peer: &str) -> Vec<String> {
    vec![format!("meta mark set {WORLD}"), format!("meta mark set ip {peer} map @ipcache")]
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
        Peers::Cidr { cidr, except } if except.is_empty() => format!("meta mark {WORLD} ip {peer} {cidr} "),
        Peers::Cidr { cidr, except } => {
            format!("meta mark {WORLD} ip {peer} {cidr} ip {peer} != {{ {} }} ", join(except))
        }
    }
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

fn write_set(
    out: &mut Vec<String>,
    head: &str,
    key: &str,
    elements: impl IntoIterator<Item = String>,
) {
    out.push(format!("\t{head} {{\n\t\ttype {key}"));
    let elements = join(elements);
    if !elements.is_empty() {
        out.push(format!("\t\telements = {{ {elements} }}"));
    }
    out.push("\t}".to_owned());
}

fn write_chain(out: &mut Vec<String>, name: &str, rules: &[String]) {
    out.push(format!("\tchain {name} {{"));
    out.extend(rules.iter().map(|rule| format!("\t\t{rule}")));
    out.push("\t}".to_owned());
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
