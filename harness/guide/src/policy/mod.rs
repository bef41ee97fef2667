//! Network policies as the guide sees them: which features they use, where, and which prefixes they hold.

mod cidr;
mod read;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cidr::{Cidr, Family, ParseCidrError, resultant};
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
    /// Features it uses and where, in file order.
    pub uses: Vec<(Feature, Position)>,
    /// Its prefixes, with exceptions taken out.
    pub prefixes: Vec<Prefix>,
    /// CIDRs that cannot be read, with the reason.
    pub invalid: Vec<(Position, String)>,
}

/// Prefixes that one CIDR entry puts into the datapath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Where the entry is.
    pub position: Position,
    /// Which list of the rule it belongs to; only neighbours in one list can be merged.
    pub list: usize,
    /// Whether the list is for egress.
    pub egress: bool,
    /// The prefixes.
    pub cidrs: Vec<Cidr>,
}

/// A feature of a policy that some version or setting does not support.
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
/// Fails with the place when the text cannot be read.
pub fn features_in(text: &str) -> Result<BTreeSet<Feature>, YamlError> {
    let policies = yaml::documents(text)?.iter().flat_map(read).collect::<Vec<_>>();
    Ok(policies.iter().flat_map(Policy::features).collect())
}
