//! What the kernel does for the pods of a node.

pub(crate) mod cidr;
pub(crate) mod conntrack;
pub(crate) mod events;
pub(crate) mod ipam;
pub(crate) mod netlink;
pub(crate) mod nft;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod ruleset;
pub(crate) mod service_maps;
pub(crate) mod table;
pub(crate) mod tracked;

/// The name of the node's nftables table.
const TABLE: &str = "inet cilium";
/// The separator between the name of an object and the number of its generation.
const GENERATION: &str = "_g";
