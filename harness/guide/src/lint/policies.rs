//! Rules about single policies.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Change, Finding, Level, Located, RuleId, dns, fields};
use crate::data::{self, Confidence};
use crate::policy::{Feature, Rule};
use crate::yaml::Position;
use model::{Minor, Version};

/// The first release with a policy feature.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Support {
    feature: Feature,
    since: Version,
    #[serde(default)]
    ignored: bool,
    name: String,
    source: String,
    #[expect(dead_code, reason = "part of every entry; checked by parsing")]
    confidence: Confidence,
}

static SUPPORT: LazyLock<Vec<Support>> = LazyLock::new(|| data::embedded!("policy-features"));

pub(super) fn check(policies: &[Located<'_>], change: &Change, findings: &mut Vec<Finding>) {
    let with_dns = dns::rules(policies);
    for located in policies {
        for rule in &located.policy.rules {
            invalid(located, rule, findings);
            unsupported(located, rule, change, findings);
            fields::check(located, rule, change, findings);
            container_labels(located, rule, change, findings);
            dns::polling(located, rule, change, &with_dns, findings);
            host_vs_world(located, rule, change, findings);
            remote_node(located, rule, change, findings);
        }
    }
}

/// Returns the first position of a feature in a rule.
fn first(rule: &Rule, feature: Feature) -> Option<Position> {
    rule.uses.iter().find(|(used, _)| *used == feature).map(|(_, position)| *position)
}

fn invalid(located: &Located<'_>, rule: &Rule, findings: &mut Vec<Finding>) {
    for (position, message) in &rule.invalid {
        let message = format!("policy {}: {message}", located.policy.name);
        let help = "the agent rejects the whole policy: correct the CIDR".to_owned();
        findings.push(located.finding(RuleId::InvalidCidr, Level::Error, *position, message, help));
    }
}

fn unsupported(located: &Located<'_>, rule: &Rule, change: &Change, findings: &mut Vec<Finding>) {
    for support in SUPPORT.iter().filter(|support| change.to < support.since) {
        let places = rule.uses.iter().filter(|(feature, _)| *feature == support.feature);
        for (_, position) in places {
            let (level, what, help) = if support.ignored {
                (
                    Level::Warning,
                    "ignores",
                    "check that the rest of the policy is sufficient for that version",
                )
            } else {
                (
                    Level::Error,
                    "does not support",
                    "remove it before the downgrade, or stay on a version that supports it",
                )
            };
            let message = format!(
                "policy {}: {} {what} {}, which is new in {} ({})",
                located.policy.name, change.to, support.name, support.since, support.source
            );
            findings.push(located.finding(
                RuleId::UnsupportedFeature,
                level,
                *position,
                message,
                help.to_owned(),
            ));
        }
    }
}

fn container_labels(located: &Located<'_>, rule: &Rule, change: &Change, findings: &mut Vec<Finding>) {
    if !change.enters(1, 6) && !change.enters(1, 7) {
        return;
    }
    let gone = change.to.minor() >= Minor::new(1, 7);
    for (_, position) in rule.uses.iter().filter(|(feature, _)| *feature == Feature::ContainerLabel) {
        let name = &located.policy.name;
        let (level, message, help) = if gone {
            (
                Level::Error,
                format!("policy {name} selects a container: label, which {} does not read", change.to),
                "select a pod label instead".to_owned(),
            )
        } else {
            (
                Level::Warning,
                format!(
                    "policy {name} selects a container: label; the default ConfigMap of 1.6 disables these labels"
                ),
                "keep `container-runtime: auto` in the ConfigMap, or select a pod label instead".to_owned(),
            )
        };
        findings.push(located.finding(RuleId::ContainerLabels, level, *position, message, help));
    }
}

fn host_vs_world(located: &Located<'_>, rule: &Rule, change: &Change, findings: &mut Vec<Finding>) {
    let world = first(rule, Feature::EntityWorld).or_else(|| first(rule, Feature::CidrZero));
    let (true, Some(position), None) = (change.enters(1, 1), first(rule, Feature::Ingress), world) else {
        return;
    };
    let message = format!(
        "policy {} restricts ingress: 1.0 allows masqueraded traffic from outside as host, {} does not",
        located.policy.name, change.to
    );
    let help = "allow `fromEntities: [world]` where outside traffic is expected, or set legacy-host-allows-world \"true\"";
    findings.push(located.finding(RuleId::HostVsWorld, Level::Warning, position, message, help.to_owned()));
}

fn remote_node(located: &Located<'_>, rule: &Rule, change: &Change, findings: &mut Vec<Finding>) {
    let covered = first(rule, Feature::EntityRemoteNode).is_some();
    let (true, Some(position), false) = (change.enters(1, 7), first(rule, Feature::EntityHost), covered)
    else {
        return;
    };
    let message = format!(
        "policy {} allows host: with the defaults of 1.7, other nodes are remote-node and no longer match",
        located.policy.name
    );
    let help = "keep enable-remote-node-identity \"false\", or add remote-node after the upgrade";
    findings.push(located.finding(RuleId::RemoteNode, Level::Warning, position, message, help.to_owned()));
}
