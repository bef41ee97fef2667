//! What a subject's objects are called.

use k8s_openapi::api::core::v1::Pod;

/// The names of a subject's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// A part of the names of its objects that are in no namespace.
    pub name: String,
    /// Namespace of everything else that belongs to it.
    pub namespace: String,
    /// The agents' DaemonSet.
    pub daemon_set: String,
    /// Value of the label `k8s-app` by which its agents are told as well, whatever owns them.
    pub app: Option<String>,
    /// The agent's container.
    pub container: String,
    /// The agents' configuration, where it is in a ConfigMap.
    pub config_map: Option<String>,
    /// The L7 proxy's DaemonSet, where it may have one beside the agents'.
    pub proxy: Option<String>,
    /// The operator's Deployment, where it may have one.
    pub operator: Option<String>,
    /// The pre-flight check's DaemonSet, where it may have one.
    pub preflight: Option<String>,
    /// Group, version and kind of its policies, where it has a kind of its own.
    pub policy: Option<(&'static str, &'static str, &'static str)>,
}

impl Names {
    /// Those of Cilium.
    #[must_use]
    pub fn cilium() -> Self {
        Self {
            name: "cilium".to_owned(),
            namespace: crate::NAMESPACE.to_owned(),
            daemon_set: crate::DAEMONSET.to_owned(),
            app: Some(crate::DAEMONSET.to_owned()),
            container: crate::CONTAINER.to_owned(),
            config_map: Some(crate::CONFIG_MAP.to_owned()),
            proxy: Some(crate::PROXY.to_owned()),
            operator: Some(crate::OPERATOR.to_owned()),
            preflight: Some(crate::PREFLIGHT.to_owned()),
            policy: Some(crate::POLICY),
        }
    }

    /// The part that a pod plays, told by what owns it: `agent`, `proxy`, `operator`, `preflight`; none for other pods.
    #[must_use]
    pub fn role(&self, pod: &Pod) -> Option<&'static str> {
        let labels = pod.metadata.labels.as_ref();
        if self.app.is_some() && labels.and_then(|labels| labels.get("k8s-app")) == self.app.as_ref() {
            return Some("agent");
        }
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true))?;
        // A Deployment's pods belong to a ReplicaSet, whose name has a hash behind the Deployment's.
        let name = match owner.kind.as_str() {
            "DaemonSet" => owner.name.as_str(),
            "ReplicaSet" => owner.name.rsplit_once('-')?.0,
            _ => return None,
        };
        let begins = |own: &String| name.starts_with(own.as_str());
        match () {
            () if name == self.daemon_set => Some("agent"),
            () if self.proxy.as_deref() == Some(name) => Some("proxy"),
            () if self.operator.as_deref() == Some(name) => Some("operator"),
            () if self.preflight.as_ref().is_some_and(begins) => Some("preflight"),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::agent("DaemonSet", "cilium", Some("agent"))]
    #[case::proxy("DaemonSet", "cilium-envoy", Some("proxy"))]
    #[case::operator("ReplicaSet", "cilium-operator-5b6f7c", Some("operator"))]
    #[case::preflight("DaemonSet", "cilium-pre-flight-check", Some("preflight"))]
    #[case::validator("ReplicaSet", "cilium-pre-flight-check-deployment-7d9f", Some("preflight"))]
    #[case::other("ReplicaSet", "kube-dns-7d9f", None)]
    #[case::another_kind("Job", "cilium", None)]
    fn owners_have_roles(#[case] kind: &str, #[case] name: &str, #[case] expected: Option<&str>) {
        let owner =
            json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true});
        let pod = json!({"metadata": {"name": "p", "ownerReferences": [owner]}, "spec": {"containers": []}});
        assert_eq!(Names::cilium().role(&serde_json::from_value(pod).unwrap()), expected);
    }

    #[test]
    fn agents_of_a_daemon_set_of_another_name_are_told_by_their_label() {
        let labelled = |value: &str| -> Pod {
            let labels = json!({"k8s-app": value});
            serde_json::from_value(json!({"metadata": {"name": "p", "labels": labels}})).unwrap()
        };
        assert_eq!(Names::cilium().role(&labelled("cilium")), Some("agent"));
        assert_eq!(Names::cilium().role(&labelled("kube-dns")), None);
        assert_eq!(Names { app: None, ..Names::cilium() }.role(&labelled("cilium")), None);
        assert_eq!(Names { app: None, ..Names::cilium() }.role(&Pod::default()), None);
    }
}
