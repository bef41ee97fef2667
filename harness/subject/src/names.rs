//! The names of a subject's objects.

use k8s_openapi::api::core::v1::Pod;
use model::Role;

/// The names of a subject's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The subject's own name, which is part of the names of its cluster-wide objects.
    pub name: String,
    /// Namespace of its other objects.
    pub namespace: String,
    /// The agents' DaemonSet.
    pub daemon_set: String,
    /// Value of the label `k8s-app` that marks its agents as well, whatever owns them.
    pub app: Option<String>,
    /// The agent's container.
    pub container: String,
    /// The ConfigMap with the agents' configuration, if there is one.
    pub config_map: Option<String>,
    /// The L7 proxy's DaemonSet, if there can be one apart from the agents'.
    pub proxy: Option<String>,
    /// The operator's Deployment, if there can be one.
    pub operator: Option<String>,
    /// The pre-flight check's DaemonSet, if there can be one.
    pub preflight: Option<String>,
    /// Group, version and kind of its policies, if it has its own kind.
    pub policy: Option<(&'static str, &'static str, &'static str)>,
    /// Folder of the agents' sockets on the nodes, if commands need it.
    pub sockets: Option<String>,
}

impl Names {
    /// The role of a pod of the subject, by its owner; `None` for other pods.
    #[must_use]
    pub fn role(&self, pod: &Pod) -> Option<Role> {
        let labels = pod.metadata.labels.as_ref();
        if self.app.is_some() && labels.and_then(|labels| labels.get("k8s-app")) == self.app.as_ref() {
            return Some(Role::Agent);
        }
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true))?;
        // A pod of a Deployment is owned by a ReplicaSet, whose name ends with a hash.
        let name = match owner.kind.as_str() {
            "DaemonSet" => owner.name.as_str(),
            "ReplicaSet" => owner.name.rsplit_once('-')?.0,
            _ => return None,
        };
        let begins = |own: &String| name.starts_with(own.as_str());
        match () {
            () if name == self.daemon_set => Some(Role::Agent),
            () if self.proxy.as_deref() == Some(name) => Some(Role::Proxy),
            () if self.operator.as_deref() == Some(name) => Some(Role::Operator),
            () if self.preflight.as_ref().is_some_and(begins) => Some(Role::Preflight),
            () => None,
        }
    }
}

#[cfg(test)]
impl Names {
    /// Names for tests.
    pub(crate) fn sample() -> Self {
        let some = |name: &str| Some(name.to_owned());
        Self {
            name: "bird".to_owned(),
            namespace: "net".to_owned(),
            daemon_set: "bird".to_owned(),
            app: some("bird"),
            container: "router".to_owned(),
            config_map: some("bird-config"),
            proxy: some("bird-proxy"),
            operator: some("bird-operator"),
            preflight: some("bird-check"),
            policy: None,
            sockets: some("/var/run/bird"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::agent("DaemonSet", "bird", Some(Role::Agent))]
    #[case::proxy("DaemonSet", "bird-proxy", Some(Role::Proxy))]
    #[case::operator("ReplicaSet", "bird-operator-5b6f7c", Some(Role::Operator))]
    #[case::preflight("DaemonSet", "bird-check", Some(Role::Preflight))]
    #[case::validator("ReplicaSet", "bird-check-deployment-7d9f", Some(Role::Preflight))]
    #[case::other("ReplicaSet", "kube-dns-7d9f", None)]
    #[case::another_kind("Job", "bird", None)]
    fn owners_have_roles(#[case] kind: &str, #[case] name: &str, #[case] expected: Option<Role>) {
        let owner =
            json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true});
        let pod = json!({"metadata": {"name": "p", "ownerReferences": [owner]}, "spec": {"containers": []}});
        assert_eq!(Names::sample().role(&serde_json::from_value(pod).unwrap()), expected);
    }

    #[test]
    fn agents_of_a_daemon_set_of_another_name_are_recognized_by_their_label() {
        let labelled = |value: &str| -> Pod {
            let labels = json!({"k8s-app": value});
            serde_json::from_value(json!({"metadata": {"name": "p", "labels": labels}})).unwrap()
        };
        assert_eq!(Names::sample().role(&labelled("bird")), Some(Role::Agent));
        assert_eq!(Names::sample().role(&labelled("kube-dns")), None);
        assert_eq!(Names { app: None, ..Names::sample() }.role(&labelled("bird")), None);
        assert_eq!(Names { app: None, ..Names::sample() }.role(&Pod::default()), None);
    }
}
