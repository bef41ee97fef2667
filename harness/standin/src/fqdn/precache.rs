//! A copy of what is known of names, for the next agent: made from the rules of the one that runs, read at start.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use super::cache::Cache;
use super::normal;
use crate::policy::model::Policy;

/// The default lifetime of a copy: a week, in seconds.
pub(crate) const TTL: u32 = 604_800;

/// Collects the addresses of names from rules. Several names of one rule share its addresses, since the rule does
/// not relate them; patterns are ignored.
pub(crate) fn collect(policy: &Policy, ttl: u32, now: Timestamp) -> Cache {
    let mut found: BTreeMap<String, Vec<Ipv4Addr>> = BTreeMap::new();
    for egress in policy.rules.iter().flat_map(|rule| &rule.egress) {
        let sets = egress.to_cidr_set.iter().flatten().filter_map(|set| set.cidr.strip_suffix("/32"));
        let ips: Vec<Ipv4Addr> = sets.filter_map(|ip| ip.parse().ok()).collect();
        for name in egress.to_fqdns.iter().flatten().filter_map(|rule| rule.match_name.as_deref()) {
            found.entry(normal(name)).or_default().extend(&ips);
        }
    }
    let mut cache = Cache::default();
    for (name, ips) in &found {
        cache.learn(name, ips, ttl, now);
    }
    cache
}

/// Writes a copy in place of an earlier one.
pub(crate) fn write(path: &Path, cache: &Cache) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o755).open(path)?;
    file.write_all(&serde_json::to_vec(cache)?)
}

/// Reads a copy.
pub(crate) fn read(path: &Path) -> io::Result<Cache> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_copy_holds_the_addresses_beside_names_and_nothing_else() {
        let rules = json!([{"endpointSelector": {}, "egress": [
            {"toFQDNs": [{"matchName": "a.b"}, {"matchName": "c.d"}, {"matchPattern": "*.e"}],
             "toCIDRSet": [{"cidr": "192.0.2.1/32"}, {"cidr": "10.0.0.0/8"}]},
            {"toFQDNs": [{"matchName": "a.b"}], "toCIDRSet": [{"cidr": "192.0.2.2/32"}]},
            {"toCIDRSet": [{"cidr": "192.0.2.3/32"}]},
        ]}]);
        let now = Timestamp::UNIX_EPOCH;
        let cache = collect(&Policy::from_rules(&rules).unwrap(), 60, now);
        let of = |wanted: &str| cache.addresses(|name| name == wanted, now).into_iter().collect::<Vec<_>>();
        assert_eq!(of("a.b."), [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)]);
        assert_eq!(of("c.d."), [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(cache.entries().len(), 2);
    }

    #[test]
    fn what_was_written_is_read_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dns-precache-upgrade.json");
        let mut cache = Cache::default();
        cache.learn("a.b", &[[192, 0, 2, 1].into()], TTL, Timestamp::UNIX_EPOCH);
        write(&path, &cache).unwrap();
        assert_eq!(read(&path).unwrap(), cache);
        write(&path, &Cache::default()).unwrap();
        assert_eq!(read(&path).unwrap(), Cache::default());
        assert!(read(&folder.path().join("none")).is_err());
    }
}
