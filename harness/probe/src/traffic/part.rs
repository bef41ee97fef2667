//! The pods that take part in the traffic.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{
    CANARY_PORT, CLOSED_PORT, HOST_PORT, HTTP_PORT, HTTP2_PORT, L7_PORT, NAME_LABEL, OUTSIDE, OUTSIDE_PORT,
    PART_LABEL, TCP_PORT, UDP_PORT,
};
use crate::exchange::Listener;
use crate::flow::Protocol;

/// What a probe pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Asks, and is granted what [`super::Traffic::grants`] says.
    Client,
    /// Asks, and is granted nothing.
    Stranger,
    /// Answers; policies select it.
    Server,
    /// Answers; no policy selects it.
    OpenServer,
    /// Asks from a host's own address.
    HostClient,
    /// Answers on a host's own address.
    HostServer,
    /// Watches what its host's kernel counts.
    NodeWatch,
    /// Asks as soon as it can, and goes when it was answered; made again and again while it is measured.
    NewPod,
    /// Asks addresses outside of the cluster, and knows them without asking for their names.
    NameClient,
    /// Answers on addresses that belong to nobody, one of which has a name.
    NamedServer,
    /// Asks from a host outside of the cluster.
    OutsideClient,
    /// Answers on a host outside of the cluster.
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

    /// Says whether it asks from the beginning to the end.
    #[must_use]
    pub fn is_client(self) -> bool {
        matches!(
            self,
            Self::Client | Self::Stranger | Self::HostClient | Self::NameClient | Self::OutsideClient
        )
    }

    /// Says whether it answers.
    #[must_use]
    pub fn is_server(self) -> bool {
        !self.listeners().is_empty()
    }

    /// Says whether it lives in the host's network.
    #[must_use]
    pub fn is_on_host(self) -> bool {
        matches!(self, Self::HostClient | Self::HostServer | Self::NodeWatch | Self::NamedServer)
    }

    /// Says whether it is outside of the cluster, and no pod at all.
    #[must_use]
    pub fn is_outside(self) -> bool {
        matches!(self, Self::OutsideClient | Self::OutsideServer)
    }

    /// Returns the labels by which policies and Services select all pods of this part.
    #[must_use]
    pub fn labels(self) -> BTreeMap<String, String> {
        BTreeMap::from([(PART_LABEL.to_owned(), self.label().to_owned())])
    }

    /// Returns the addresses that it gives its host, besides those that the host has.
    #[must_use]
    pub fn addresses(self) -> &'static [Ipv4Addr] {
        if self == Self::NamedServer { &OUTSIDE } else { &[] }
    }

    pub(super) fn listeners(self) -> Vec<Listener> {
        let listener = |protocol, port| Listener { protocol, port };
        match self {
            Self::Server => vec![
                listener(Protocol::Udp, UDP_PORT),
                listener(Protocol::Tcp, TCP_PORT),
                listener(Protocol::Tcp, CLOSED_PORT),
                listener(Protocol::Http, HTTP_PORT),
                listener(Protocol::Http, L7_PORT),
                listener(Protocol::Http2, HTTP2_PORT),
            ],
            Self::OpenServer => vec![
                listener(Protocol::Udp, UDP_PORT),
                listener(Protocol::Tcp, TCP_PORT),
                listener(Protocol::Http2, HTTP2_PORT),
            ],
            Self::HostServer => {
                vec![listener(Protocol::Udp, CANARY_PORT), listener(Protocol::Tcp, HOST_PORT)]
            }
            Self::NamedServer | Self::OutsideServer => vec![listener(Protocol::Tcp, OUTSIDE_PORT)],
            Self::Client
            | Self::Stranger
            | Self::HostClient
            | Self::NodeWatch
            | Self::NewPod
            | Self::NameClient
            | Self::OutsideClient => Vec::new(),
        }
    }
}

/// A pod, or what stands for one outside of the cluster, that takes part in the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePod {
    /// Name.
    pub name: String,
    /// Node on which it must run; [`super::OUTSIDE_HOST`] where it is outside of the cluster.
    pub node: String,
    /// What it is.
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
