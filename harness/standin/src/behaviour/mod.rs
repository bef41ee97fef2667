//! What a version does differently: a version is a short list of behaviours, and each behaviour has its file.

pub(crate) mod cni_conf;
pub(crate) mod connection_table;
pub(crate) mod conntrack_gc;
pub(crate) mod custom_resources;
pub(crate) mod fqdn;
pub(crate) mod host_vs_world;
pub(crate) mod identity_backend;
pub(crate) mod kernel;
pub(crate) mod l7_metrics;
pub(crate) mod prefix_lengths;
pub(crate) mod runtime_labels;
pub(crate) mod service_maps;

use crate::version::{Version, VersionError};
use cni_conf::CniConf;
use connection_table::{ConnectionTable, TableSize, UnknownTcp, Unreadable};
use conntrack_gc::ConntrackGc;
use custom_resources::{CustomResources, POLICIES_AND_ENDPOINTS, WITH_NODES_AND_IDENTITIES};
use fqdn::NameSources;
use host_vs_world::MasqueradedWorld;
use identity_backend::BackendChoice;
use l7_metrics::L7Metrics;
use prefix_lengths::{Counted, PrefixLengths};
use service_maps::ServiceMaps;

/// The behaviours of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behaviours {
    /// How the version treats a CNI configuration that already exists.
    pub(crate) cni_conf: CniConf,
    /// Where the version can keep identities.
    pub(crate) backend: BackendChoice,
    /// What the version registers with the API server.
    pub(crate) custom_resources: CustomResources,
    /// How the version makes its connection table.
    pub(crate) connection_table: ConnectionTable,
    /// How often the version collects dead connections.
    pub(crate) conntrack_gc: ConntrackGc,
    /// How many prefix lengths the version can hold on old kernels.
    pub(crate) prefix_lengths: PrefixLengths,
    /// By which names the version counts requests through the proxy.
    pub(crate) l7_metrics: L7Metrics,
    /// In which maps the version keeps services.
    pub(crate) service_maps: ServiceMaps,
    /// From what the version learns the addresses of names.
    pub(crate) names: NameSources,
    /// The identity of clients outside of the cluster that a node masquerades.
    pub(crate) masqueraded_world: MasqueradedWorld,
}

/// 1.0; every later minor is this with some behaviours replaced.
const V1_0: Behaviours = Behaviours {
    cni_conf: CniConf::KeepExisting,
    backend: BackendChoice::KvstoreOnly,
    custom_resources: POLICIES_AND_ENDPOINTS,
    connection_table: ConnectionTable {
        format: 1,
        reads: &[],
        unreadable: Unreadable::Fail,
        tcp_size: TableSize::Fixed(524_288),
        any_size: TableSize::Fixed(262_144),
        unknown: UnknownTcp::PickUp,
    },
    conntrack_gc: ConntrackGc::Fixed,
    prefix_lengths: PrefixLengths { max: 40, counted: Counted::Egress },
    l7_metrics: L7Metrics::ByName,
    service_maps: ServiceMaps::Legacy,
    names: NameSources::Nothing,
    masqueraded_world: MasqueradedWorld::Host,
};

/// 1.1, from 1.1.4 on.
const V1_1: Behaviours = Behaviours {
    connection_table: ConnectionTable {
        format: 2,
        reads: &[1],
        unreadable: Unreadable::Clear,
        ..V1_0.connection_table
    },
    prefix_lengths: PrefixLengths { max: 20, counted: Counted::All },
    masqueraded_world: MasqueradedWorld::Option { unset: true },
    ..V1_0
};

const BEFORE_V1_1_4: Behaviours = Behaviours {
    connection_table: ConnectionTable { unreadable: Unreadable::Fail, ..V1_1.connection_table },
    ..V1_1
};

const V1_2: Behaviours = Behaviours {
    connection_table: ConnectionTable { format: 3, reads: &[], ..V1_1.connection_table },
    conntrack_gc: ConntrackGc::Seconds,
    prefix_lengths: PrefixLengths { max: 18, ..V1_1.prefix_lengths },
    names: NameSources::Poller,
    ..V1_1
};

const V1_3: Behaviours = Behaviours {
    connection_table: ConnectionTable {
        tcp_size: TableSize::Option("global-ct-max-tcp", 524_288),
        any_size: TableSize::Option("global-ct-max-any", 262_144),
        ..V1_2.connection_table
    },
    ..V1_2
};

/// The option exists in 1.4, but has no effect.
const V1_4: Behaviours = Behaviours {
    connection_table: ConnectionTable {
        tcp_size: TableSize::Fixed(1_000_000),
        unknown: UnknownTcp::Refuse,
        ..V1_3.connection_table
    },
    names: NameSources::Proxy,
    masqueraded_world: MasqueradedWorld::Option { unset: false },
    ..V1_3
};

const V1_5: Behaviours = Behaviours {
    connection_table: ConnectionTable {
        tcp_size: TableSize::Option("bpf-ct-global-tcp-max", 524_288),
        any_size: TableSize::Option("bpf-ct-global-any-max", 262_144),
        ..V1_4.connection_table
    },
    conntrack_gc: ConntrackGc::Dynamic,
    service_maps: ServiceMaps::Both,
    masqueraded_world: MasqueradedWorld::World,
    ..V1_4
};

const V1_6: Behaviours = Behaviours {
    cni_conf: CniConf::Overwrite,
    backend: BackendChoice::Selectable,
    custom_resources: WITH_NODES_AND_IDENTITIES,
    l7_metrics: L7Metrics::ByLabel,
    service_maps: ServiceMaps::V2,
    ..V1_5
};

impl Behaviours {
    /// Looks up what `version` does.
    pub(crate) fn of(version: Version) -> Result<Self, VersionError> {
        match (version.major, version.minor, version.patch) {
            (1, 0, _) => Ok(V1_0),
            (1, 1, ..4) => Ok(BEFORE_V1_1_4),
            (1, 1, _) => Ok(V1_1),
            (1, 2, _) => Ok(V1_2),
            (1, 3, _) => Ok(V1_3),
            (1, 4, _) => Ok(V1_4),
            (1, 5, _) => Ok(V1_5),
            (1, 6, _) => Ok(V1_6),
            _ => Err(VersionError::NotPlayed(version)),
        }
    }
}

#[cfg(test)]
mod versions_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_played_is_refused() {
        let version = Version { major: 1, minor: 7, patch: 0 };
        assert_eq!(Behaviours::of(version), Err(VersionError::NotPlayed(version)));
    }

    #[test]
    fn every_minor_that_has_a_chart_is_played() {
        for minor in crate::chart::MINORS {
            assert!(Behaviours::of(format!("{minor}.9").parse().unwrap()).is_ok(), "{minor}");
        }
    }
}
