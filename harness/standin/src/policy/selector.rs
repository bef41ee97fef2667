//! Endpoint selectors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::labels::{Labels, NAMESPACE_LABEL};

/// A label selector; keys may carry a source, as in `k8s:app`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Returns whether the selector matches `labels`; an empty selector matches everything.
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        let has = |(key, value): (&String, &String)| values(labels, key).any(|it| it == value);
        self.match_labels.iter().all(has) && self.match_expressions.iter().all(|it| it.holds(labels))
    }

    /// Restricts the selector to `namespace`, unless it names a namespace itself.
    pub(crate) fn in_namespace(mut self, namespace: &str) -> Self {
        let mut keys = self.match_labels.keys().chain(self.match_expressions.iter().map(|it| &it.key));
        if !keys.any(|key| split(key).1 == NAMESPACE_LABEL) {
            self.match_labels.insert(format!("k8s:{NAMESPACE_LABEL}"), namespace.to_owned());
        }
        self
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let mut found = values(labels, &self.key);
        match self.operator {
            Operator::In => found.any(|it| self.values.iter().any(|value| value == it)),
            Operator::NotIn => !found.any(|it| self.values.iter().any(|value| value == it)),
            Operator::Exists => found.next().is_some(),
            Operator::DoesNotExist => found.next().is_none(),
        }
    }
}

fn values<'a>(labels: &'a Labels, key: &'a str) -> impl Iterator<Item = &'a str> {
    let (source, key) = split(key);
    labels.values(source, key)
}

/// Splits `k8s:app`; a key without a source, or with `any`, matches every source.
fn split(key: &str) -> (Option<&str>, &str) {
    match key.split_once(':') {
        Some(("any", key)) => (None, key),
        Some((source, key)) => (Some(source), key),
        None => (None, key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::empty(json!({}), true)]
    #[case::label(json!({"matchLabels": {"app": "web"}}), true)]
    #[case::other_value(json!({"matchLabels": {"app": "db"}}), false)]
    #[case::with_source(json!({"matchLabels": {"k8s:app": "web"}}), true)]
    #[case::any_source(json!({"matchLabels": {"any:app": "web"}}), true)]
    #[case::other_source(json!({"matchLabels": {"container:app": "web"}}), false)]
    #[case::one_of(json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}), true)]
    #[case::none_of(json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), false)]
    #[case::none_of_a_missing(json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}), true)]
    #[case::exists(json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), false)]
    #[case::does_not_exist(json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), true)]
    #[case::both(
        json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
        false
    )]
    fn chooses(#[case] selector: Value, #[case] chosen: bool) {
        let selector: Selector = serde_json::from_value(selector).unwrap();
        assert_eq!(
            selector.matches(&Labels::parse("k8s:app=web;k8s:io.kubernetes.pod.namespace=shop;")),
            chosen
        );
    }

    #[rstest]
    #[case::added(json!({}), "shop", true)]
    #[case::elsewhere(json!({}), "default", false)]
    #[case::named_by_the_selector(
        json!({"matchLabels": {"k8s:io.kubernetes.pod.namespace": "shop"}}), "default", true
    )]
    fn is_bound_to_the_namespace(#[case] selector: Value, #[case] namespace: &str, #[case] chosen: bool) {
        let selector: Selector = serde_json::from_value(selector).unwrap();
        let labels = Labels::parse("k8s:io.kubernetes.pod.namespace=shop;");
        assert_eq!(selector.in_namespace(namespace).matches(&labels), chosen);
    }
}
