//! The labels that make up an identity.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};

/// The label that holds a pod's namespace.
pub(crate) const NAMESPACE_LABEL: &str = "io.kubernetes.pod.namespace";
const CLUSTER_LABEL: &str = "io.cilium.k8s.policy.cluster";
const SERVICE_ACCOUNT_LABEL: &str = "io.cilium.k8s.policy.serviceaccount";

/// The source of labels that only the container runtime knows.
const RUNTIME: &str = "container";

/// Labels that differ between the pods of one workload and therefore stay out of its identity.
const PER_POD: [&str; 3] = ["pod-template-generation", "pod-template-hash", "controller-revision-hash"];

/// One label with its source, as in `k8s:app=web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Label {
    /// The source of the label: `k8s`, `container` or `reserved`.
    pub(crate) source: String,
    /// The key.
    pub(crate) key: String,
    /// The value, empty for a label without one.
    pub(crate) value: String,
}

/// The set of labels that defines an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Labels(BTreeSet<Label>);

impl Labels {
    /// The labels of a pod that count for policy.
    pub(crate) fn of_pod(pod: &Pod, cluster: &str) -> Self {
        let own = pod.metadata.labels.iter().flatten().filter(|(key, _)| counts(key));
        let account =
            pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let added =
            [(NAMESPACE_LABEL, namespace), (CLUSTER_LABEL, cluster), (SERVICE_ACCOUNT_LABEL, account)];
        let label =
            |key: &str, value: &str| Label { source: "k8s".into(), key: key.into(), value: value.into() };
        let own = own.map(|(key, value)| label(key, value));
        Self(own.chain(added.map(|(key, value)| label(key, value))).collect())
    }

    /// The labels among those of a sandbox that `pods`, which Kubernetes knows, does not have.
    pub(crate) fn of_runtime(sandbox: &BTreeMap<String, String>, pods: &Self) -> Self {
        let own = |key: &str| pods.values(Some("k8s"), key).next().is_none();
        let wanted = |key: &str| counts(key) && !key.starts_with("io.kubernetes.") && own(key);
        let found = sandbox.iter().filter(|(key, _)| wanted(key));
        let label = |(key, value): (&String, &String)| Label {
            source: RUNTIME.into(),
            key: key.clone(),
            value: value.clone(),
        };
        Self(found.map(label).collect())
    }

    /// Those of the container runtime, and the others.
    pub(crate) fn split_runtime(self) -> (Self, Self) {
        let (runtimes, others) = self.0.into_iter().partition(|label| label.source == RUNTIME);
        (Self(runtimes), Self(others))
    }

    /// These labels and others.
    pub(crate) fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Reads the form that [`Labels::to_string`] writes.
    pub(crate) fn parse(text: &str) -> Self {
        text.split(';').filter(|label| !label.is_empty()).map(parse_label).collect()
    }

    /// The labels in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Label> {
        self.0.iter()
    }

    /// The values of `key`; `source` narrows them unless it is `None`.
    pub(crate) fn values<'a>(
        &'a self,
        source: Option<&'a str>,
        key: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let wanted = move |label: &&Label| label.key == key && source.is_none_or(|it| it == label.source);
        self.0.iter().filter(wanted).map(|label| label.value.as_str())
    }
}

impl FromIterator<Label> for Labels {
    fn from_iter<T: IntoIterator<Item = Label>>(labels: T) -> Self {
        Self(labels.into_iter().collect())
    }
}

/// The form of etcd keys: `k8s:app=web;k8s:io.kubernetes.pod.namespace=default;`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|label| write!(f, "{}:{}={};", label.source, label.key, label.value))
    }
}

fn parse_label(text: &str) -> Label {
    let (source, rest) = text.split_once(':').unwrap_or(("unspec", text));
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    Label { source: source.into(), key: key.into(), value: value.into() }
}

fn counts(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let of_kubernetes = ["kubernetes.io", "k8s.io"].iter().any(|suffix| domain.ends_with(suffix));
    !of_kubernetes && !PER_POD.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_counts_with_its_workloads_labels_only() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"namespace": "shop", "labels": {
                "app": "web", "pod-template-hash": "5d4", "statefulset.kubernetes.io/pod-name": "web-0",
                "apps.kubernetes.io/pod-index": "0",
            }},
            "spec": {"containers": [], "serviceAccountName": "web"},
        }))
        .unwrap();
        assert_eq!(
            Labels::of_pod(&pod, "default").to_string(),
            "k8s:app=web;k8s:io.cilium.k8s.policy.cluster=default;\
             k8s:io.cilium.k8s.policy.serviceaccount=web;k8s:io.kubernetes.pod.namespace=shop;"
        );
    }

    #[test]
    fn the_runtime_adds_what_kubernetes_does_not_know() {
        let sandbox = [
            ("app", "web"),
            ("io.cri-containerd.kind", "sandbox"),
            ("io.kubernetes.pod.name", "web-0"),
            ("pod-template-hash", "5d4"),
            ("apps.kubernetes.io/pod-index", "0"),
        ];
        let sandbox = sandbox.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let pods = Labels::parse("k8s:app=web;k8s:io.kubernetes.pod.namespace=shop;");
        let found = Labels::of_runtime(&sandbox, &pods);
        assert_eq!(found.to_string(), "container:io.cri-containerd.kind=sandbox;");
        assert_eq!(pods.clone().with(found.clone()).split_runtime(), (found, pods));
    }

    #[test]
    fn text_form_is_read_back() {
        let text = "container:image=a:b;k8s:app=web;reserved:host=;";
        assert_eq!(Labels::parse(text).to_string(), text);
    }
}
