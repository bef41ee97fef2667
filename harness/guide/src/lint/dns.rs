//! Policies with `toFQDNs` need a rule that directs the DNS queries of the same pods to the proxy.

use super::{Change, Finding, Level, Located, RuleId};
use crate::policy::{Feature, Policy, Rule};
use crate::yaml::{Node, Value};

/// Label that selects a namespace in a cluster-wide policy.
const NAMESPACE_LABELS: [&str; 2] = ["k8s:io.kubernetes.pod.namespace", "io.kubernetes.pod.namespace"];

/// The pods of a rule: those of a namespace, or of all namespaces, that a selector selects.
pub(super) struct Pods {
    namespace: Option<String>,
    labels: Vec<(String, String)>,
    expressions: Vec<String>,
}

/// Returns the pods whose DNS queries go to the proxy.
pub(super) fn rules(policies: &[Located<'_>]) -> Vec<Pods> {
    let rules =
        policies.iter().flat_map(|located| located.policy.rules.iter().map(|rule| (&located.policy, rule)));
    let with_dns =
        rules.filter(|(_, rule)| rule.uses.iter().any(|(feature, _)| *feature == Feature::DnsRules));
    with_dns.map(|(policy, rule)| pods(policy, rule)).collect()
}

fn pods(policy: &Policy, rule: &Rule) -> Pods {
    let mut namespace = policy.name.split_once('/').map(|(namespace, _)| namespace.to_owned());
    let selector = rule.selector.as_ref();
    let entries = selector.and_then(|selector| selector.get("matchLabels")).map_or(&[][..], Node::entries);
    let mut labels = Vec::new();
    for entry in entries {
        let value = entry.value.text().unwrap_or_default().to_owned();
        if namespace.is_none() && NAMESPACE_LABELS.contains(&entry.key.as_str()) {
            namespace = Some(value);
        } else {
            labels.push((entry.key.strip_prefix("k8s:").unwrap_or(&entry.key).to_owned(), value));
        }
    }
    let expressions =
        selector.and_then(|selector| selector.get("matchExpressions")).map_or(&[][..], Node::items);
    Pods { namespace, labels, expressions: expressions.iter().map(canonical).collect() }
}

impl Pods {
    /// Tells whether these are all pods of another rule, or more.
    fn cover(&self, other: &Self) -> bool {
        let namespace = self.namespace.is_none() || self.namespace == other.namespace;
        let labels = self.labels.iter().all(|label| other.labels.contains(label));
        namespace
            && labels
            && self.expressions.iter().all(|expression| other.expressions.contains(expression))
    }
}

/// Reports a rule with `toFQDNs` whose pods have no DNS rule.
pub(super) fn polling(
    located: &Located<'_>,
    rule: &Rule,
    change: &Change,
    with_dns: &[Pods],
    findings: &mut Vec<Finding>,
) {
    let names = |feature: &Feature| matches!(feature, Feature::FqdnName | Feature::FqdnPattern);
    let Some((_, position)) = rule.uses.iter().find(|(feature, _)| names(feature)) else { return };
    let own = pods(&located.policy, rule);
    if with_dns.iter().any(|pods| pods.cover(&own)) {
        return;
    }
    let (level, why) = if change.enters(1, 4) {
        (
            Level::Error,
            "no longer polls DNS: connections to cached names are dropped until the pod resolves them again",
        )
    } else if change.enters(1, 9) {
        (
            Level::Warning,
            "has no DNS poller: if tofqdns-enable-poller was \"true\", the names no longer resolve",
        )
    } else {
        return;
    };
    let message = format!(
        "policy {} uses toFQDNs without a DNS rule for the same pods, and {} {why}",
        located.policy.name, change.to
    );
    let help = "add a toPorts rule with `rules.dns` for the same pods; for a seamless upgrade run the pre-flight check \
                with preflight.tofqdnsPreCache and keep tofqdns-enable-poller \"true\" during the upgrade";
    findings.push(located.finding(RuleId::DnsPolling, level, *position, message, help.to_owned()));
}

/// Returns the canonical text of a selector, independent of its order.
fn canonical(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } => format!("{text:?}"),
        Value::Sequence(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Mapping { entries, .. } => {
            let mut pairs: Vec<_> =
                entries.iter().map(|entry| format!("{:?}:{}", entry.key, canonical(&entry.value))).collect();
            pairs.sort_unstable();
            format!("{{{}}}", pairs.join(","))
        }
    }
}
