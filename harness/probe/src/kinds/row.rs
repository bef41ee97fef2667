//! Routes between probe pods, and the flows that a kind plans on them.

use std::net::Ipv4Addr;

use model::{Kind, Protocol};

use crate::flow::{Policy, Via};

/// The client on the first node.
pub(crate) const FIRST_CLIENT: &str = "client-1";
/// The client that no policy grants anything.
pub(crate) const STRANGER: &str = "stranger";
/// The Service of all servers that policies select.
pub(crate) const ALL_SERVERS: &str = "servers";

/// A route: which pod sends probes to which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// From the first client to each server that policies select.
    Servers,
    /// From the first client to the Service of all servers that policies select.
    AllServers,
    /// From the first client to each open server: one that no policy selects.
    OpenServers,
    /// From the last client to the open server on another node.
    OpenServer,
    /// From a host's network namespace to an open server on another node.
    FromHost,
    /// From the last client to a server in a host's network namespace.
    ToHost,
    /// From the last client to the cluster's DNS.
    ClusterDns,
    /// From each new pod to the open server.
    NewPods,
    /// Between hosts; crosses nothing that is upgraded.
    BetweenHosts,
    /// From a host outside the cluster to the open server, through a node port.
    FromOutside,
    /// From the last client to a host outside the cluster.
    ToOutside,
    /// From a pod that knows the name of an address outside the cluster, to that address and to one without a name.
    Names,
    /// From the last client to each open server, at its IPv6 address.
    OverIpv6,
    /// From the first client to an open server, to measure the measurement.
    Calibration,
}

impl Route {
    /// Every route.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 14] = [
        Self::Servers,
        Self::AllServers,
        Self::OpenServers,
        Self::OpenServer,
        Self::FromHost,
        Self::ToHost,
        Self::ClusterDns,
        Self::NewPods,
        Self::BetweenHosts,
        Self::FromOutside,
        Self::ToOutside,
        Self::Names,
        Self::OverIpv6,
        Self::Calibration,
    ];
}

/// A flow of the plan, before its two ends are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) protocol: Protocol,
    /// The policy that it crosses. A flow that must be answered is granted there.
    pub(crate) policy: Policy,
    pub(crate) via: Via,
    /// The port that its server listens on; 0 where none is needed.
    pub(crate) port: u16,
    pub(crate) period_ns: u64,
    /// Bytes of a request and its answer; 0 for the minimum.
    pub(crate) bytes: u16,
    /// The first part of its id; absent for `<kind>-<protocol>`.
    pub(crate) name: Option<&'static str>,
    /// The pod that sends in place of the route's client.
    pub(crate) client: Option<&'static str>,
    /// The HTTP path in place of the public one.
    pub(crate) http_path: Option<&'static str>,
    /// The Service whose name is queried.
    pub(crate) query: Option<&'static str>,
    /// The address in place of the server's.
    pub(crate) address: Option<Ipv4Addr>,
    /// The deadline in place of the standard one, ms; half of it is slow.
    pub(crate) deadline_ms: Option<u32>,
}

impl Row {
    /// Describes a flow of `rate` probes a second.
    pub(crate) fn new(
        kind: Kind,
        protocol: Protocol,
        policy: Policy,
        via: Via,
        port: u16,
        rate: u32,
    ) -> Self {
        Self {
            kind,
            protocol,
            policy,
            via,
            port,
            period_ns: u64::from(1_000_000_000 / rate.max(1)),
            bytes: 0,
            name: None,
            client: None,
            http_path: None,
            query: None,
            address: None,
            deadline_ms: None,
        }
    }
}
