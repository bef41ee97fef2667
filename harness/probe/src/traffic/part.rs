//! The probe pods.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use model::Protocol;
use serde::{Deserialize, Serialize};

use super::{NAME_LABEL, OUTSIDE, PART_LABEL};
use crate::exchange::Listener;
use crate::kinds;
use crate::kinds::Settings;
use crate::kinds::row::Route;

/// The part of a probe pod in the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Sends probes; granted what [`super::Traffic::grants`] lists.
    Client,
    /// Sends probes; granted nothing.
    Stranger,
    /// Answers probes; policies select it.
    Server,
    /// Answers probes; no policy selects it.
    OpenServer,
    /// Sends probes from a host's address.
    HostClient,
    /// Answers probes on a host's address.
    HostServer,
    /// Watches the counters of its host's kernel.
    NodeWatch,
    /// Sends probes until the first answer; new ones are created throughout the measurement.
    NewPod,
    /// Sends probes to addresses outside the cluster, without a DNS query of its own.
    NameClient,
    /// Answers probes on unassigned addresses, one of which has a name.
    NamedServer,
    /// Sends probes from a host outside the cluster.
    OutsideClient,
    /// Answers probes on a host outside the cluster.
    OutsideServer,
}

impl Part {
    /// Returns the value of [`PART_LABEL`].
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Stranger => "stranger",
            Self::Server => "server",
            Self::OpenServer => "open-server",
            Self::HostClient => "host-client",
            Self::HostServer => "host-server",
            Self::NodeWatch => "node-watch",
            Self::NewPod => "new-pod",
            Self::NameClient => "name-client",
            Self::NamedServer => "named-server",
            Self::OutsideClient => "outside-client",
            Self::OutsideServer => "outside-server",
        }
    }

    /// Returns whether it sends probes throughout the measurement.
    #[must_use]
    pub fn is_client(self) -> bool {
        matches!(
            self,
            Self::Client | Self::Stranger | Self::HostClient | Self::NameClient | Self::OutsideClient
        )
    }

    /// Returns whether it answers probes.
    #[must_use]
    pub fn is_server(self) -> bool {
        !self.routes().is_empty()
    }

    /// Returns whether it is in the host's network namespace.
    #[must_use]
    pub fn is_on_host(self) -> bool {
        matches!(self, Self::HostClient | Self::HostServer | Self::NodeWatch | Self::NamedServer)
    }

    /// Returns whether it is outside the cluster, and no pod.
    #[must_use]
    pub fn is_outside(self) -> bool {
        matches!(self, Self::OutsideClient | Self::OutsideServer)
    }

    /// Returns the labels by which policies and Services select all pods of this part.
    #[must_use]
    pub fn labels(self) -> BTreeMap<String, String> {
        BTreeMap::from([(PART_LABEL.to_owned(), self.label().to_owned())])
    }

    /// Returns the addresses that it adds to its host.
    #[must_use]
    pub fn addresses(self) -> &'static [Ipv4Addr] {
        if self == Self::NamedServer { &OUTSIDE } else { &[] }
    }

    /// Returns the ports on which it listens: those that the flows on the routes to it need, in order.
    pub(super) fn listeners(self) -> Vec<Listener> {
        let settings = Settings::default();
        let rows = self.routes().iter().flat_map(|route| kinds::rows(*route, &settings));
        let listeners = rows.filter(|row| row.protocol != Protocol::Icmp);
        let listeners: BTreeMap<u16, Protocol> = listeners.map(|row| (row.port, row.protocol)).collect();
        listeners.into_iter().map(|(port, protocol)| Listener { protocol, port }).collect()
    }

    /// Returns the routes that lead to it.
    const fn routes(self) -> &'static [Route] {
        match self {
            Self::Server => &[Route::Servers, Route::AllServers],
            Self::OpenServer => &[
                Route::OpenServers,
                Route::OpenServer,
                Route::FromHost,
                Route::NewPods,
                Route::FromOutside,
                Route::OverIpv6,
                Route::Calibration,
            ],
            Self::HostServer => &[Route::ToHost, Route::BetweenHosts],
            Self::NamedServer => &[Route::Names],
            Self::OutsideServer => &[Route::ToOutside],
            Self::Client
            | Self::Stranger
            | Self::HostClient
            | Self::NodeWatch
            | Self::NewPod
            | Self::NameClient
            | Self::OutsideClient => &[],
        }
    }
}

/// A probe pod, or a program outside the cluster in place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePod {
    /// Name.
    pub name: String,
    /// Node on which it must run; [`super::OUTSIDE_HOST`] outside the cluster.
    pub node: String,
    /// Its part in the traffic.
    pub part: Part,
    /// Ports that it listens on.
    pub listeners: Vec<Listener>,
}

impl ProbePod {
    /// Returns the labels by which policies and Services select it.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.part.labels();
        labels.insert(NAME_LABEL.to_owned(), self.name.clone());
        labels
    }
}
