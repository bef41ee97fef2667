//! The connections of a node's pods in tables of bounded size: sets of the packet filter, one for TCP and one for UDP.
//!
//! The first packet of a connection that policy lets pass puts it there, or is dropped where there is no place. It stays
//! until it is collected, however long the kernel's own table has forgotten it. Packets of connections that exist do not
//! look here.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde_json::Value;

use super::TABLE;
use super::nft::{self, ToolError};
use crate::behaviour::conntrack_gc::{Bounds, Collection, Stage};
use crate::policy::resolve::Transport;

/// The base chain, which exists only with such tables; it runs after policy.
pub(super) const HOOK: (&str, &str, &str) =
    ("track_prerouting", "type filter hook prerouting priority -49", "track");
/// The counters of packets from pods, and of those to pods, that found no place.
const FULL: [&str; 2] = ["ct_full_egress", "ct_full_ingress"];
/// The kernel's idle timeouts of connections.
const TIMEOUTS: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_";

/// Both ends of a connection: the client, and the server that it was brought to.
pub(crate) type Ends = ((Ipv4Addr, u16), (Ipv4Addr, u16));

/// What one run found in one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Entries that stay.
    pub(crate) alive: u64,
    /// Removed entries.
    pub(crate) deleted: u64,
}

impl Bounds {
    fn of(self, transport: Transport) -> u32 {
        match transport {
            Transport::Tcp => self.tcp,
            Transport::Udp => self.any,
        }
    }

    /// The name of a table; another size is another table.
    fn set(self, transport: Transport) -> String {
        format!("ct_{transport}_{}", self.of(transport))
    }

    /// Objects of the packet filter's table that belong to no generation.
    pub(super) fn objects(self) -> Vec<String> {
        let set = |transport| {
            let (name, size) = (self.set(transport), self.of(transport));
            let kind = "type ipv4_addr . inet_service . ipv4_addr . inet_service";
            format!("\tset {name} {{\n\t\t{kind}\n\t\tsize {size}\n\t\tflags dynamic\n\t}}")
        };
        let counters = FULL.map(|name| format!("\tcounter {name} {{\n\t}}"));
        [Transport::Tcp, Transport::Udp].into_iter().map(set).chain(counters).collect()
    }

    /// The rules for what policy lets pass; `drops` are those that drop a packet which found no place.
    pub(super) fn rules(self, pods: Ipv4Net, drops: &[String]) -> Vec<String> {
        let tracked = |transport| {
            let key = "ip saddr . th sport . ip daddr . th dport";
            format!("meta l4proto {transport} add @{} {{ {key} }} accept", self.set(transport))
        };
        let [egress, ingress] = FULL;
        let mut rules = vec![
            "ct state != new accept".to_owned(),
            "meta l4proto != { tcp, udp } accept".to_owned(),
            format!("ip saddr != {pods} ip daddr != {pods} accept"),
            // Where the table is full, the rule breaks off.
            tracked(Transport::Tcp),
            tracked(Transport::Udp),
            format!("ip saddr {pods} counter name {egress}"),
            format!("ip saddr != {pods} counter name {ingress}"),
        ];
        rules.extend_from_slice(drops);
        rules
    }
}

/// Takes the dead connections out of a table.
pub(crate) async fn collect(collection: &Collection, transport: Transport) -> Result<Collected, ToolError> {
    let set = collection.bounds.set(transport);
    // The kernel's table is read last: a connection that is missing there has ended.
    let entries = ends(&nft::list(&format!("list set {TABLE} {set}")).await?);
    let kernel = match entries.is_empty() {
        true => BTreeSet::new(),
        false => alive(collection, &nft::connections(transport).await?, timeout),
    };
    let dead: Vec<&Ends> = entries.iter().filter(|ends| !kernel.contains(ends)).collect();
    if !dead.is_empty() {
        nft::apply(&removal(&set, &dead)).await?;
    }
    let deleted = dead.len() as u64;
    Ok(Collected { alive: entries.len() as u64 - deleted, deleted })
}

/// The number of packets from pods, and of those to pods, that found no place since the node has been there.
pub(crate) async fn failed_insertions() -> Result<[u64; 2], ToolError> {
    let listing = nft::list("list counters table inet cilium").await?;
    Ok(FULL.map(|name| packets(&listing, name)))
}

fn packets(listing: &Value, name: &str) -> u64 {
    let items = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let counters = items.filter_map(|item| item.get("counter"));
    let named = counters.filter(|counter| counter.get("name").and_then(Value::as_str) == Some(name));
    named.filter_map(|counter| counter.get("packets")?.as_u64()).sum()
}

fn removal(set: &str, dead: &[&Ends]) -> String {
    let key = |((from, sport), (to, dport)): &Ends| format!("{from} . {sport} . {to} . {dport}");
    let keys = dead.iter().map(|ends| key(ends)).collect::<Vec<_>>().join(", ");
    format!("delete element {TABLE} {set} {{ {keys} }}\n")
}

/// Returns the connections of a listing; the kernel may list one twice if it moves it meanwhile.
fn ends(listing: &Value) -> BTreeSet<Ends> {
    let sets = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let elements = sets.filter_map(|item| item.pointer("/set/elem")?.as_array()).flatten();
    elements.filter_map(element).collect()
}

fn element(element: &Value) -> Option<Ends> {
    let element = element.pointer("/elem/val").unwrap_or(element);
    let [from, sport, to, dport] = element.get("concat")?.as_array()?.as_slice() else { return None };
    let ip = |value: &Value| value.as_str()?.parse().ok();
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    Some(((ip(from)?, port(sport)?), (ip(to)?, port(dport)?)))
}

/// Those of the kernel's connections that are not dead; `timeout` is how long a state may be idle.
fn alive(collection: &Collection, listing: &str, timeout: impl Fn(&str) -> u64) -> BTreeSet<Ends> {
    let lasting = |line: &str| {
        let mut words = line.split_whitespace();
        let (protocol, left) = (words.next()?, words.nth(1)?.parse().ok()?);
        let dead = protocol == "tcp" && {
            let (state, stage) = stage(words.next()?);
            let idle = timeout(state).saturating_sub(left);
            stage != Stage::Open && collection.is_dead(stage, Duration::from_secs(idle))
        };
        if dead { None } else { both_ends(line) }
    };
    listing.lines().filter_map(lasting).collect()
}

/// The timeout's name for a state in the listing, and the stage of the connection.
fn stage(state: &str) -> (&'static str, Stage) {
    match state {
        "SYN_SENT" => ("syn_sent", Stage::Opening),
        "SYN_RECV" => ("syn_recv", Stage::Opening),
        "TIME_WAIT" => ("time_wait", Stage::Closed),
        "CLOSE" => ("close", Stage::Closed),
        _ => ("established", Stage::Open),
    }
}

fn timeout(state: &str) -> u64 {
    let text = std::fs::read_to_string(Path::new(&format!("{TIMEOUTS}{state}")));
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

/// The client from the first half of a line, the server that it was brought to from the second, where it answers.
fn both_ends(line: &str) -> Option<Ends> {
    let values = |name: &'static str| line.split_whitespace().filter_map(move |word| word.strip_prefix(name));
    let (from, to) = (values("src=").next()?, values("src=").nth(1)?);
    let (sport, dport) = (values("sport=").next()?, values("sport=").nth(1)?);
    Some(((from.parse().ok()?, sport.parse().ok()?), (to.parse().ok()?, dport.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Behaviours;
    use serde_json::json;

    fn collection(speed: &str) -> Collection {
        let behaviours = Behaviours::of("1.6.12".parse().unwrap()).unwrap();
        let settings =
            [("standin-kernel", "4.9"), ("bpf-ct-global-tcp-max", "64"), ("standin-gc-speed", speed)];
        let settings = settings.into_iter().collect();
        let collection = behaviours.conntrack_gc.on_kernel(behaviours.connection_table, &settings, "6.1");
        collection.unwrap().unwrap()
    }

    fn connection(state: &str, left: u16, port: u16) -> String {
        format!(
            "tcp      6 {left} {state} src=10.244.0.2 dst=10.96.0.10 sport={port} dport=80 \
             src=10.244.1.2 dst=10.244.0.2 sport=8080 dport={port} [ASSURED] mark=0 use=1\n"
        )
    }

    fn to_server(port: u16) -> Ends {
        (("10.244.0.2".parse().unwrap(), port), ("10.244.1.2".parse().unwrap(), 8080))
    }

    #[test]
    fn the_kernel_says_who_lives_and_where_connections_were_brought_to() {
        let listing = [
            connection("ESTABLISHED", 7, 1),
            connection("TIME_WAIT", 111, 2),
            connection("TIME_WAIT", 110, 3),
            connection("SYN_SENT", 61, 4),
            connection("SYN_SENT", 60, 5),
            connection("CLOSE", 0, 6),
            connection("FIN_WAIT", 1, 7),
        ];
        let timeout = |state: &str| if state == "close" { 10 } else { 120 };
        let alive = alive(&collection("1"), &listing.concat(), timeout);
        assert_eq!(alive, [1, 2, 4, 7].map(to_server).into());
    }

    #[test]
    fn what_is_not_tcp_lives_as_long_as_the_kernel_knows_it() {
        let line = "udp      17 29 src=10.244.0.2 dst=10.244.1.2 sport=9 dport=8080 [UNREPLIED] src=10.244.1.2 \
                    dst=10.244.0.2 sport=8080 dport=9 mark=0 use=1\n";
        assert_eq!(alive(&collection("1000"), line, |_| 120), [to_server(9)].into());
    }

    #[test]
    fn a_listing_is_read_and_given_back() {
        let element = json!({"concat": ["10.244.0.2", 4001, "10.244.1.2", 8080]});
        let wrapped = json!({"elem": {"val": {"concat": ["10.244.0.2", 4002, "10.244.1.2", 8080]}}});
        let listing = json!({"nftables": [{"metainfo": {}}, {"set": {"name": "ct_tcp_64",
            "elem": [element, wrapped, element]}}]});
        let found = ends(&listing);
        assert_eq!(found, [to_server(4001), to_server(4002)].into());
        assert_eq!(
            removal("ct_tcp_64", &[&to_server(4001)]),
            "delete element inet cilium ct_tcp_64 { 10.244.0.2 . 4001 . 10.244.1.2 . 8080 }\n"
        );
    }

    #[test]
    fn packets_without_a_place_are_counted_by_direction() {
        let counter = |name: &str, packets| json!({"counter": {"name": name, "packets": packets}});
        let listing = json!({"nftables": [counter("ct_full_ingress", 2), counter("ct_full_egress", 5),
            counter("events_lost", 9)]});
        assert_eq!(FULL.map(|name| packets(&listing, name)), [5, 2]);
    }
}
