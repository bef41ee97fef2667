//! Network policies: which features they use, at which position, and which prefixes they hold.

mod cidr;
mod read;

use std::collections::BTreeSet;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use cidr::sibling;
pub use cidr::{Family, ParseCidrError, parse_cidr, resultant};
pub use read::read;

use crate::yaml::{self, Node, Position, YamlError};

/// One policy object, or one rule of the old JSON form.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `namespace/name`, or the labels of a rule without metadata.
    pub name: String,
    /// Where it starts.
    pub position: Position,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// One rule: a selector and what it allows.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// The pods it selects, as written.
    pub selector: Option<Node>,
    /// Features that it uses with their positions, in file order.
    pub uses: Vec<(Feature, Position)>,
    /// Fields of a Cilium policy by path, and some values as `path=value`, with their positions.
    pub fields: Vec<(String, Position)>,
    /// Its prefixes, without the exceptions.
    pub prefixes: Vec<Prefix>,
    /// CIDRs that cannot be read, with the reason.
    pub invalid: Vec<(Position, String)>,
}

/// The prefixes that one CIDR entry adds to the datapath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Where the entry is.
    pub position: Position,
    /// The list of the rule that holds the entry; only prefixes of one list can be merged.
    pub list: usize,
    /// Whether the list is for egress.
    pub egress: bool,
    /// The prefixes.
    pub cidrs: Vec<IpNet>,
}

/// A feature of a policy that some versions or settings do not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// A CIDR of length zero.
    CidrZero,
    /// CIDR and ports in one rule.
    CidrWithPorts,
    /// An IPv6 CIDR.
    CidrIpv6,
    /// `toFQDNs.matchName`.
    FqdnName,
    /// `toFQDNs.matchPattern`.
    FqdnPattern,
    /// Layer 7 rules for DNS.
    DnsRules,
    /// Layer 7 rules of any kind.
    L7Rules,
    /// A label with the source `container:`.
    ContainerLabel,
    /// The entity `host`.
    EntityHost,
    /// The entity `world`.
    EntityWorld,
    /// The entity `remote-node`.
    EntityRemoteNode,
    /// A cluster-wide policy.
    ClusterWide,
    /// A deny rule.
    Deny,
    /// Rules for ingress.
    Ingress,
}

impl Policy {
    /// Returns the features that it uses.
    pub fn features(&self) -> BTreeSet<Feature> {
        self.rules.iter().flat_map(|rule| &rule.uses).map(|(feature, _)| *feature).collect()
    }
}

/// Returns the features that the policies in a text use.
///
/// # Errors
/// Fails with the position when the text cannot be read.
pub fn features_in(text: &str) -> Result<BTreeSet<Feature>, YamlError> {
    let policies = yaml::documents(text)?.iter().flat_map(read).collect::<Vec<_>>();
    Ok(policies.iter().flat_map(Policy::features).collect())
}
