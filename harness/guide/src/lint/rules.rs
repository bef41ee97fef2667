//! The lint rules, with their documentation.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A lint rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleId {
    /// Labels of the container runtime in a selector.
    ContainerLabels,
    /// Metrics that the target deprecates.
    DeprecatedMetrics,
    /// `toFQDNs` without a rule that directs the queries to the DNS proxy.
    DnsPolling,
    /// Policies that rely on traffic from outside being the entity host.
    HostVsWorld,
    /// A CIDR that cannot be read.
    InvalidCidr,
    /// Too many unique prefix lengths.
    PrefixLengths,
    /// Policies that rely on other nodes being the entity host.
    RemoteNode,
    /// Fields of policies that the target has removed.
    RemovedField,
    /// Files that cannot be read.
    UnreadableFile,
    /// Features that the target does not support.
    UnsupportedFeature,
}

/// An unknown rule name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown rule {name:?}: the rules are {}", RuleId::ALL.map(RuleId::name).join(", "))]
pub struct UnknownRule {
    name: String,
}

impl RuleId {
    /// All rules, by name.
    pub const ALL: [Self; 10] = [
        Self::ContainerLabels,
        Self::DeprecatedMetrics,
        Self::DnsPolling,
        Self::HostVsWorld,
        Self::InvalidCidr,
        Self::PrefixLengths,
        Self::RemoteNode,
        Self::RemovedField,
        Self::UnreadableFile,
        Self::UnsupportedFeature,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContainerLabels => "container-labels",
            Self::DeprecatedMetrics => "deprecated-metrics",
            Self::DnsPolling => "dns-polling",
            Self::HostVsWorld => "host-vs-world",
            Self::InvalidCidr => "invalid-cidr",
            Self::PrefixLengths => "prefix-lengths",
            Self::RemoteNode => "remote-node",
            Self::RemovedField => "removed-field",
            Self::UnreadableFile => "unreadable-file",
            Self::UnsupportedFeature => "unsupported-feature",
        }
    }

    /// Returns its page of documentation, in Markdown.
    pub const fn page(self) -> &'static str {
        match self {
            Self::ContainerLabels => include_str!("../../data/rules/container-labels.md"),
            Self::DeprecatedMetrics => include_str!("../../data/rules/deprecated-metrics.md"),
            Self::DnsPolling => include_str!("../../data/rules/dns-polling.md"),
            Self::HostVsWorld => include_str!("../../data/rules/host-vs-world.md"),
            Self::InvalidCidr => include_str!("../../data/rules/invalid-cidr.md"),
            Self::PrefixLengths => include_str!("../../data/rules/prefix-lengths.md"),
            Self::RemoteNode => include_str!("../../data/rules/remote-node.md"),
            Self::RemovedField => include_str!("../../data/rules/removed-field.md"),
            Self::UnreadableFile => include_str!("../../data/rules/unreadable-file.md"),
            Self::UnsupportedFeature => include_str!("../../data/rules/unsupported-feature.md"),
        }
    }

    /// Returns the first sentence of its page.
    pub fn summary(self) -> &'static str {
        self.page().lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default()
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for RuleId {
    type Err = UnknownRule;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| UnknownRule { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_page_under_its_name() {
        for rule in RuleId::ALL {
            assert!(rule.page().starts_with(&format!("# {rule}\n")), "{rule}");
            assert!(rule.page().lines().count() > 10, "{rule}");
            assert!(rule.summary().ends_with('.'), "{rule}");
            assert_eq!(rule.name().parse(), Ok(rule));
        }
    }

    #[test]
    fn an_unknown_rule_lists_the_known_ones() {
        let message = "x".parse::<RuleId>().unwrap_err().to_string();
        assert!(message.starts_with("unknown rule \"x\": the rules are container-labels, "));
    }
}
