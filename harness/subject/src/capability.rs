//! The traffic that a subject carries.

use std::collections::BTreeSet;

/// A kind of traffic beyond IPv4 among pods and hosts, which every subject carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Policies of the subject's own kind deny and allow traffic.
    Policies,
    /// Addresses and node ports of Services, and with them the DNS of the cluster.
    Services,
    /// Connections of pods to hosts outside of the cluster.
    World,
    /// IPv6 in addition to IPv4, among pods.
    Ipv6,
}

/// A set of capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(BTreeSet<Capability>);

impl Capabilities {
    /// Whether the set contains a capability.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// Describes the traffic that is not carried, IPv6 aside; `None` if all is.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let names = [
            (Capability::Policies, "policies"),
            (Capability::Services, "Services and their names"),
            (Capability::World, "hosts outside of the cluster"),
        ];
        let missing: Vec<_> = names
            .into_iter()
            .filter(|(capability, _)| !self.has(*capability))
            .map(|(_, name)| name)
            .collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }
}

impl<const N: usize> From<[Capability; N]> for Capabilities {
    fn from(capabilities: [Capability; N]) -> Self {
        Self(capabilities.into())
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().collect())
    }
}
