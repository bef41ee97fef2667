//! In which maps a version keeps services, and what becomes of those that another version left.
//!
//! The maps of 1.5 outlive a downgrade: 1.4 neither knows them nor keeps them up to date. Connections through a service
//! point into the maps that they were made with; who cannot read those has lost the connection.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::agent::config::{ConfigError, Settings};
use crate::service::Frontend;

/// A format of service maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// Backends by their place in the service.
    Legacy,
    /// Backends in a separate map.
    V2,
}

/// Which maps a version keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceMaps {
    /// Up to 1.4.
    Legacy,
    /// 1.5: those of v2, and the legacy ones as well where `enable-legacy-services` asks for it. What it finds in its maps
    /// it compares with Kubernetes by frontend alone (cilium#8158).
    Both,
    /// From 1.6.
    V2,
}

impl ServiceMaps {
    /// The formats that are kept, and that new connections point into.
    pub(crate) fn keeps(self, settings: &Settings) -> Result<BTreeSet<Format>, ConfigError> {
        Ok(match self {
            Self::Legacy => BTreeSet::from([Format::Legacy]),
            Self::Both if settings.enabled("enable-legacy-services", false)? => {
                BTreeSet::from([Format::Legacy, Format::V2])
            }
            Self::Both | Self::V2 => BTreeSet::from([Format::V2]),
        })
    }

    /// Whether connections that point into maps of these formats can go on.
    pub(crate) fn reads(self, formats: &BTreeSet<Format>) -> bool {
        let readable: &[Format] = match self {
            Self::Legacy => &[Format::Legacy],
            Self::Both => &[Format::Legacy, Format::V2],
            Self::V2 => &[Format::V2],
        };
        formats.is_empty() || readable.iter().any(|format| formats.contains(format))
    }

    /// Returns whether backends found in the maps are kept until their service changes.
    pub(crate) fn trusts_what_it_finds(self) -> bool {
        self == Self::Both
    }
}

/// Services as found in the maps, until Kubernetes reports a change.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// By frontend: as it was found.
    found: BTreeMap<Key, Frontend>,
    /// By frontend: the first state that Kubernetes reported.
    first: BTreeMap<Key, Frontend>,
}

type Key = (std::net::Ipv4Addr, crate::policy::resolve::Transport, u16);

impl Found {
    /// Begins with what was found.
    pub(crate) fn new(found: Vec<Frontend>) -> Self {
        Self { found: found.into_iter().map(|it| (key(&it), it)).collect(), first: BTreeMap::new() }
    }

    /// Returns the contents of the maps when Kubernetes reports `now`.
    pub(crate) fn merge(&mut self, now: Vec<Frontend>) -> Vec<Frontend> {
        let merged = now.into_iter().map(|service| {
            let key = key(&service);
            let first = self.first.entry(key).or_insert_with(|| service.clone());
            if *first != service {
                self.found.remove(&key);
            }
            self.found.get(&key).cloned().unwrap_or(service)
        });
        merged.collect()
    }
}

fn key(frontend: &Frontend) -> Key {
    (frontend.ip, frontend.transport, frontend.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Behaviours;
    use crate::policy::resolve::Transport;
    use rstest::rstest;
    use std::net::Ipv4Addr;

    fn maps(version: &str) -> ServiceMaps {
        Behaviours::of(version.parse().unwrap()).unwrap().service_maps
    }

    const LEGACY: (&str, &str) = ("enable-legacy-services", "true");

    #[rstest]
    #[case::first_upgrade("1.4.10", &[], "1.5.13", true)]
    #[case::straight_to_1_5("1.2.8", &[], "1.5.13", true)]
    #[case::next_minor("1.5.13", &[], "1.6.12", true)]
    #[case::next_minor_with_both("1.5.13", &[LEGACY], "1.6.12", true)]
    #[case::back_to_1_5("1.6.12", &[], "1.5.13", true)]
    #[case::back_to_1_4("1.5.13", &[], "1.4.10", false)]
    #[case::back_to_1_4_prepared("1.5.13", &[LEGACY], "1.4.10", true)]
    #[case::back_to_1_2("1.5.13", &[], "1.2.8", false)]
    #[case::option_of_1_5_alone("1.6.12", &[LEGACY], "1.4.10", false)]
    fn connections_go_on(
        #[case] from: &str,
        #[case] settings: &[(&str, &str)],
        #[case] to: &str,
        #[case] go_on: bool,
    ) {
        let kept = maps(from).keeps(&settings.iter().copied().collect()).unwrap();
        assert_eq!(maps(to).reads(&kept), go_on);
    }

    #[test]
    fn a_new_node_has_no_connections() {
        assert!(maps("1.4.10").reads(&BTreeSet::new()));
    }

    fn web(port: u16, hosts: &[u8]) -> Frontend {
        let backend = |host: &u8| (Ipv4Addr::new(10, 244, 0, *host), 8080);
        Frontend {
            ip: Ipv4Addr::new(10, 96, 0, 10),
            transport: Transport::Tcp,
            port,
            node_port: None,
            backends: hosts.iter().map(backend).collect(),
        }
    }

    #[test]
    fn what_was_found_stays_until_the_service_changes() {
        let mut found = Found::new(vec![web(80, &[2, 3]), web(81, &[4])]);
        assert_eq!(found.merge(vec![web(80, &[2]), web(443, &[9])]), [web(80, &[2, 3]), web(443, &[9])]);
        assert_eq!(found.merge(vec![web(80, &[2]), web(443, &[8])]), [web(80, &[2, 3]), web(443, &[8])]);
        assert_eq!(found.merge(vec![web(80, &[5])]), [web(80, &[5])]);
        assert_eq!(found.merge(vec![web(80, &[2])]), [web(80, &[2])]);
    }

    #[test]
    fn only_1_5_takes_what_it_finds_for_granted() {
        let trust = ["1.4.10", "1.5.13", "1.6.12"].map(|version| maps(version).trusts_what_it_finds());
        assert_eq!(trust, [false, true, false]);
    }
}
