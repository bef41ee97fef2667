//! Unique prefix lengths of random policies, against a model that walks the address space.

use std::collections::BTreeSet;
use std::net::IpAddr;

use guide::lint::prefix_lengths;
use guide::policy::{self, Family};
use guide::yaml;
use proptest::prelude::*;

/// A prefix as bits from the top of 128.
#[derive(Clone, Copy, Debug)]
struct Prefix {
    v6: bool,
    bits: u128,
    length: u8,
}

impl Prefix {
    fn text(self) -> String {
        let address = if self.v6 {
            IpAddr::from(self.bits.to_be_bytes())
        } else {
            IpAddr::from(((self.bits >> 96) as u32).to_be_bytes())
        };
        format!("{address}/{}", self.length)
    }

    fn covers(self, bits: u128, length: u8) -> bool {
        self.length <= length
            && (self.length == 0 || (self.bits ^ bits) >> (128 - u32::from(self.length)) == 0)
    }
}

#[derive(Clone, Debug)]
struct Entry {
    cidr: Prefix,
    except: Vec<Prefix>,
}

/// Walks down from a prefix: what no exception touches is held as it is.
fn walk(entry: &Entry, bits: u128, length: u8, lengths: &mut BTreeSet<u8>) {
    if entry.except.iter().any(|hole| hole.covers(bits, length)) {
        return;
    }
    let here = Prefix { v6: entry.cidr.v6, bits, length };
    if entry.except.iter().all(|hole| !here.covers(hole.bits, hole.length)) {
        lengths.insert(length);
        return;
    }
    walk(entry, bits, length + 1, lengths);
    walk(entry, bits | 1 << (127 - u32::from(length)), length + 1, lengths);
}

fn model(entries: &[Entry], v6: bool) -> BTreeSet<u8> {
    let mut lengths: BTreeSet<u8> = if v6 { [0, 64, 128].into() } else { [0, 8, 32].into() };
    for entry in entries.iter().filter(|entry| entry.cidr.v6 == v6) {
        walk(entry, entry.cidr.bits, entry.cidr.length, &mut lengths);
    }
    lengths
}

fn prefix(v6: bool, bits: u128, length: u8) -> Prefix {
    let width = if v6 { 128 } else { 32 };
    let length = length % (width + 1);
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    Prefix { v6, bits: bits & mask, length }
}

fn entry() -> impl Strategy<Value = Entry> {
    let hole = (any::<u128>(), any::<u8>());
    (any::<bool>(), any::<u128>(), any::<u8>(), prop::collection::vec(hole, 0..4)).prop_map(
        |(v6, bits, length, holes)| {
            let cidr = prefix(v6, bits, length);
            // Exceptions lie inside: the agent refuses others.
            let inside = |(bits, length): (u128, u8)| {
                let own = u128::MAX.checked_shl(128 - u32::from(cidr.length)).unwrap_or(0);
                let longer = prefix(v6, cidr.bits | (bits & !own), length);
                (longer.length >= cidr.length).then_some(longer)
            };
            Entry { cidr, except: holes.into_iter().filter_map(inside).collect() }
        },
    )
}

fn text(entries: &[Entry]) -> String {
    let one = |entry: &Entry| {
        let holes: Vec<_> = entry.except.iter().map(|hole| format!("\"{}\"", hole.text())).collect();
        let cidr = entry.cidr.text();
        format!("  - toCIDRSet:\n    - cidr: \"{cidr}\"\n      except: [{}]\n", holes.join(", "))
    };
    let entries: String = entries.iter().map(one).collect();
    format!("kind: CiliumNetworkPolicy\nspec:\n  egress:\n{entries}")
}

proptest! {
    #[test]
    fn agree_with_a_walk_through_the_address_space(entries in prop::collection::vec(entry(), 1..6)) {
        let document = yaml::documents(&text(&entries)).unwrap().remove(0);
        let policies = policy::read(&document);
        prop_assert!(policies.iter().all(|policy| policy.rules.iter().all(|rule| rule.invalid.is_empty())));
        prop_assert_eq!(prefix_lengths(Family::V4, &policies), model(&entries, false));
        prop_assert_eq!(prefix_lengths(Family::V6, &policies), model(&entries, true));
    }
}
