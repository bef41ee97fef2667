//! Addresses of names, for as long as they count; written as upstream writes its DNS cache.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::normal;

/// What was learned of a name at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Entry {
    /// The name.
    pub(crate) fqdn: String,
    /// When it was learned.
    pub(crate) lookup_time: Timestamp,
    /// Until when it counts.
    pub(crate) expiration_time: Timestamp,
    /// How long that is, seconds.
    pub(crate) ttl: u32,
    /// The addresses.
    pub(crate) ips: BTreeSet<Ipv4Addr>,
}

/// What was learned of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Cache(Vec<Entry>);

impl Cache {
    /// Records the addresses of a name; returns whether any of them is new.
    pub(crate) fn learn(&mut self, name: &str, ips: &[Ipv4Addr], ttl: u32, now: Timestamp) -> bool {
        if ips.is_empty() {
            return false;
        }
        let fqdn = normal(name);
        let known = self.addresses(|own| own == fqdn, now);
        let ips: BTreeSet<Ipv4Addr> = ips.iter().copied().collect();
        let expiration_time =
            now.checked_add(SignedDuration::from_secs(ttl.into())).unwrap_or(Timestamp::MAX);
        let news = !ips.is_subset(&known);
        let entry = Entry { fqdn, lookup_time: now, expiration_time, ttl, ips };
        self.add(entry, now);
        news
    }

    /// Takes over what another one knows.
    pub(crate) fn merge(&mut self, other: &Self, now: Timestamp) {
        for entry in &other.0 {
            self.add(entry.clone(), now);
        }
    }

    /// The addresses, at `now`, of the names that are wanted.
    pub(crate) fn addresses(&self, wanted: impl Fn(&str) -> bool, now: Timestamp) -> BTreeSet<Ipv4Addr> {
        let counts = self.0.iter().filter(|entry| entry.expiration_time >= now);
        counts.filter(|entry| wanted(&entry.fqdn)).flat_map(|entry| &entry.ips).copied().collect()
    }

    /// Everything, in the order in which it was learned.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Adds an entry, in place of those that it makes superfluous.
    fn add(&mut self, entry: Entry, now: Timestamp) {
        let replaced = |old: &Entry| {
            old.fqdn == entry.fqdn
                && old.ips.is_subset(&entry.ips)
                && old.expiration_time <= entry.expiration_time
        };
        self.0.retain(|old| old.expiration_time >= now && !replaced(old));
        if entry.expiration_time >= now {
            self.0.push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn known(cache: &Cache, second: i64) -> Vec<Ipv4Addr> {
        cache.addresses(|name| name == "a.b.", at(second)).into_iter().collect()
    }

    #[test]
    fn addresses_count_until_their_time_is_over() {
        let mut cache = Cache::default();
        assert!(cache.learn("A.b", &[ONE], 10, at(0)));
        assert!(!cache.learn("a.b.", &[ONE], 10, at(5)), "it was known");
        assert!(cache.learn("a.b", &[TWO], 2, at(6)));
        assert!(!cache.learn("a.b", &[], 99, at(6)));
        assert_eq!(
            (known(&cache, 8), known(&cache, 15), known(&cache, 16)),
            (vec![ONE, TWO], vec![ONE], vec![])
        );
        assert_eq!(cache.entries().len(), 2, "the first is superfluous: {cache:?}");
        cache.learn("c.d", &[ONE], 1, at(20));
        assert_eq!(cache.entries().len(), 1, "what counts no more is gone");
    }

    #[test]
    fn a_copy_adds_what_still_counts_and_shortens_nothing() {
        let (mut cache, mut other) = (Cache::default(), Cache::default());
        cache.learn("a.b", &[ONE], 100, at(0));
        other.learn("a.b", &[ONE], 10, at(0));
        other.learn("a.b", &[TWO], 10, at(0));
        cache.merge(&other, at(5));
        assert_eq!((known(&cache, 5), known(&cache, 50)), (vec![ONE, TWO], vec![ONE]));
        cache.merge(&other, at(60));
        assert_eq!(known(&cache, 5), [ONE]);
    }

    #[test]
    fn the_form_is_upstreams() {
        let mut cache = Cache::default();
        cache.learn("a.b", &[ONE], 604_800, at(0));
        let expected = r#"[{"fqdn":"a.b.","lookup-time":"1970-01-01T00:00:00Z","expiration-time":"1970-01-08T00:00:00Z","ttl":604800,"ips":["192.0.2.1"]}]"#;
        assert_eq!(serde_json::to_string(&cache).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Cache>(expected).unwrap(), cache);
    }
}
