//! Which custom resources the agent registers at its start.

/// Kinds of the API group `cilium.io`, by name.
pub(crate) type CustomResources = &'static [&'static str];

/// Up to 1.5.
pub(crate) const POLICIES_AND_ENDPOINTS: CustomResources = &["CiliumNetworkPolicy", "CiliumEndpoint"];

/// From 1.6.
pub(crate) const WITH_NODES_AND_IDENTITIES: CustomResources =
    &["CiliumNetworkPolicy", "CiliumEndpoint", "CiliumNode", "CiliumIdentity"];
