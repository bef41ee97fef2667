//! Packets that were dropped, queued in the kernel: a set of bounded size, which outlives the agent, and a counter of
//! those that found it full.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::TABLE;
use super::nft::{self, ToolError};
use crate::policy::resolve::Transport;

/// The counter of events that found the queue full.
pub(super) const LOST: &str = "events_lost";
/// From here on the number of an event is that of a UDP packet.
const UDP: u64 = 1 << 30;
/// From here on it is that of a packet for which the connection table had no place: first TCP, then UDP.
const NO_PLACE: u64 = 1 << 31;

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Policy does not let it pass.
    Policy,
    /// The connection table is full.
    NoPlace,
}

/// A packet that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dropped {
    /// Its number among those to its receiver.
    number: u64,
    /// Why it was.
    pub(crate) reason: Reason,
    /// Its protocol.
    pub(crate) transport: Transport,
    /// The sender.
    pub(crate) from: (Ipv4Addr, u16),
    /// The intended receiver.
    pub(crate) to: (Ipv4Addr, u16),
}

/// The queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// The most events that it holds.
    pub(crate) size: u32,
}

impl Queue {
    /// The queue's set; another size is another set.
    fn set(self) -> String {
        format!("events_{}", self.size)
    }

    /// Objects of the table that belong to no generation.
    pub(super) fn objects(self) -> [String; 2] {
        let kind = "type ipv4_addr . inet_service . ipv4_addr . inet_service . mark";
        [
            format!("\tset {} {{\n\t\t{kind}\n\t\tsize {}\n\t\tflags dynamic\n\t}}", self.set(), self.size),
            format!("\tcounter {LOST} {{\n\t}}"),
        ]
    }

    /// The rules that queue a packet and drop it; where the queue is full, the first of them break off.
    pub(super) fn drops(self, reason: Reason) -> Vec<String> {
        let first = match reason {
            Reason::Policy => 0,
            Reason::NoPlace => NO_PLACE,
        };
        let queued = |transport: Transport, numbers: String| {
            let key = "ip saddr . th sport . ip daddr . th dport . meta mark";
            format!(
                "meta l4proto {transport} meta mark set {numbers} add @{} {{ {key} }} counter drop",
                self.set()
            )
        };
        vec![
            queued(Transport::Tcp, format!("numgen inc mod {UDP} offset {first}")),
            queued(Transport::Udp, format!("numgen inc mod {UDP} offset {}", first + UDP)),
            format!("meta l4proto {{ tcp, udp }} counter name {LOST} drop"),
            "counter drop".to_owned(),
        ]
    }

    /// Takes what is queued, and the number of events that found the queue full since the last time.
    pub(crate) async fn take(self) -> Result<(Vec<Dropped>, u64), ToolError> {
        let listing = nft::list(&format!("list set {TABLE} {}", self.set())).await?;
        let events = events(&listing);
        if !events.is_empty() {
            nft::apply(&self.removal(&events)).await?;
        }
        let lost = nft::list(&format!("reset counter {TABLE} {LOST}")).await?;
        Ok((events, packets(&lost)))
    }

    fn removal(self, events: &[Dropped]) -> String {
        let key = |event: &Dropped| {
            let ((from, sport), (to, dport)) = (event.from, event.to);
            format!("{from} . {sport} . {to} . {dport} . {:#x}", event.number)
        };
        let keys = events.iter().map(key).collect::<Vec<_>>().join(", ");
        format!("delete element {TABLE} {} {{ {keys} }}\n", self.set())
    }
}

/// The events of a listing, in order.
fn events(listing: &Value) -> Vec<Dropped> {
    let sets = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let elements = sets.filter_map(|item| item.pointer("/set/elem")?.as_array()).flatten();
    let mut events: Vec<Dropped> = elements.filter_map(event).collect();
    events.sort();
    // The kernel may list an element twice if it moves it meanwhile.
    events.dedup();
    events
}

fn event(element: &Value) -> Option<Dropped> {
    let element = element.pointer("/elem/val").unwrap_or(element);
    let [from, sport, to, dport, number] = element.get("concat")?.as_array()?.as_slice() else { return None };
    let ip = |value: &Value| value.as_str()?.parse().ok();
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let number = number.as_u64()?;
    Some(Dropped {
        number,
        reason: if number < NO_PLACE { Reason::Policy } else { Reason::NoPlace },
        transport: if number % NO_PLACE < UDP { Transport::Tcp } else { Transport::Udp },
        from: (ip(from)?, port(sport)?),
        to: (ip(to)?, port(dport)?),
    })
}

fn packets(listing: &Value) -> u64 {
    let items = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.pointer("/counter/packets")?.as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_listing_is_read_in_order_and_given_back() {
        let element = |port, number| json!({"concat": ["10.244.0.2", port, "10.244.1.3", 7000, number]});
        let wrapped = json!({"elem": {"val": element(4002, 3), "counter": {}}});
        let listing = json!({"nftables": [{"metainfo": {}}, {"set": {"name": "events_8",
            "elem": [element(4004, NO_PLACE + UDP), element(4001, UDP + 5), wrapped, element(4000, 2), element(4000, 2),
                element(4003, NO_PLACE)]}}]});
        let events = events(&listing);
        let seen: Vec<_> = events.iter().map(|event| (event.reason, event.transport, event.from.1)).collect();
        assert_eq!(
            seen,
            [
                (Reason::Policy, Transport::Tcp, 4000),
                (Reason::Policy, Transport::Tcp, 4002),
                (Reason::Policy, Transport::Udp, 4001),
                (Reason::NoPlace, Transport::Tcp, 4003),
                (Reason::NoPlace, Transport::Udp, 4004),
            ]
        );
        assert_eq!(
            Queue { size: 8 }.removal(&events[..1]),
            "delete element inet cilium events_8 { 10.244.0.2 . 4000 . 10.244.1.3 . 7000 . 0x2 }\n"
        );
    }

    #[test]
    fn what_found_no_place_is_counted() {
        let listing =
            json!({"nftables": [{"metainfo": {}}, {"counter": {"name": "events_lost", "packets": 7}}]});
        assert_eq!(packets(&listing), 7);
    }
}
