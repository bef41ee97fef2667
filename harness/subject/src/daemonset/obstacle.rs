//! Rendered changes that `kubectl apply` cannot make, found before anything is applied.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{PodTemplateSpec, Probe};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, DynamicObject};
use serde::de::DeserializeOwned;

use super::Installation;
use super::error::{InstallationError, request};
use crate::source::find;

/// Something that prevents an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The selector of a workload changes, which the API server refuses.
    Selector {
        /// Kind and name, such as `DaemonSet bird`.
        object: String,
        /// The labels that it selects now.
        now: String,
        /// The labels that it would select.
        then: String,
    },
    /// A probe changes its handler: merged with the current one it has two, which the API server refuses.
    ProbeHandler {
        /// Kind and name.
        object: String,
        /// Container and probe, such as `bird-agent, livenessProbe`.
        probe: String,
        /// The handler now, such as `exec`.
        now: &'static str,
        /// The handler after.
        then: &'static str,
    },
}

impl Obstacle {
    /// The refused change, as a sentence with the object and both values.
    #[must_use]
    pub fn evidence(&self) -> String {
        match self {
            Self::Selector { object, now, then } => {
                format!("{object} selects {now} and would select {then}; a selector cannot be changed")
            }
            Self::ProbeHandler { object, probe, now, then } => {
                format!("{object}, {probe}: {now} becomes {then}; `kubectl apply` leaves both")
            }
        }
    }

    /// Whether nothing can be applied because of it: server-side apply removes a handler, but cannot change a selector.
    #[must_use]
    pub fn blocks(&self) -> bool {
        matches!(self, Self::Selector { .. })
    }
}

impl Installation {
    /// Compares rendered objects with those on the cluster.
    ///
    /// # Errors
    /// When the workloads of the cluster cannot be read.
    pub async fn obstacles(&self, rendered: &[DynamicObject]) -> Result<Vec<Obstacle>, InstallationError> {
        let mut found = Vec::new();
        let agents = &self.names.daemon_set;
        if let Some(new) = workload::<DaemonSet>(rendered, "DaemonSet", agents)
            && let Some(current) = self.get::<DaemonSet>("DaemonSet", agents).await?
        {
            let spec = |it: DaemonSet| it.spec.map(|spec| (spec.selector, spec.template));
            found.extend(compare(&format!("DaemonSet {agents}"), spec(current), spec(new)));
        }
        if let Some(operator) = &self.names.operator
            && let Some(new) = workload::<Deployment>(rendered, "Deployment", operator)
            && let Some(current) = self.get::<Deployment>("Deployment", operator).await?
        {
            let spec = |it: Deployment| it.spec.map(|spec| (spec.selector, spec.template));
            found.extend(compare(&format!("Deployment {operator}"), spec(current), spec(new)));
        }
        Ok(found)
    }

    async fn get<K>(&self, kind: &str, name: &str) -> Result<Option<K>, InstallationError>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.names.namespace);
        api.get_opt(name).await.map_err(request(format!("{kind} {name} could not be read")))
    }
}

fn workload<K: DeserializeOwned>(rendered: &[DynamicObject], kind: &str, name: &str) -> Option<K> {
    serde_json::from_value(serde_json::to_value(find(rendered, kind, name)?).ok()?).ok()
}

type Spec = Option<(LabelSelector, PodTemplateSpec)>;

fn compare(object: &str, now: Spec, then: Spec) -> Vec<Obstacle> {
    let (Some((selector, template)), Some((new_selector, new_template))) = (now, then) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if selector != new_selector {
        let (now, then) = (labels(&selector), labels(&new_selector));
        found.push(Obstacle::Selector { object: object.to_owned(), now, then });
    }
    let containers =
        |template: PodTemplateSpec| template.spec.map(|spec| spec.containers).unwrap_or_default();
    let new_containers = containers(new_template);
    for container in containers(template) {
        let Some(new) = new_containers.iter().find(|new| new.name == container.name) else { continue };
        let probes = [
            ("livenessProbe", &container.liveness_probe, &new.liveness_probe),
            ("readinessProbe", &container.readiness_probe, &new.readiness_probe),
        ];
        for (probe, now, then) in probes {
            let handlers = now.as_ref().and_then(handler).zip(then.as_ref().and_then(handler));
            if let Some((now, then)) = handlers.filter(|(now, then)| now != then) {
                let (object, probe) = (object.to_owned(), format!("{}, {probe}", container.name));
                found.push(Obstacle::ProbeHandler { object, probe, now, then });
            }
        }
    }
    found
}

fn labels(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten();
    labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn handler(probe: &Probe) -> Option<&'static str> {
    [
        (probe.exec.is_some(), "exec"),
        (probe.http_get.is_some(), "httpGet"),
        (probe.tcp_socket.is_some(), "tcpSocket"),
        (probe.grpc.is_some(), "grpc"),
    ]
    .into_iter()
    .find_map(|(set, name)| set.then_some(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn daemon_set(labels: Value, probe: Value) -> Spec {
        let spec = json!({
            "selector": {"matchLabels": labels},
            "template": {"spec": {"containers": [{"name": "bird-agent", "livenessProbe": probe}]}},
        });
        let found: k8s_openapi::api::apps::v1::DaemonSetSpec = serde_json::from_value(spec).unwrap();
        Some((found.selector, found.template))
    }

    fn exec() -> Value {
        json!({"exec": {"command": ["bird", "status"]}})
    }

    #[test]
    fn what_stays_the_same_is_no_obstacle() {
        let same = || daemon_set(json!({"k8s-app": "bird"}), exec());
        assert_eq!(compare("DaemonSet bird", same(), same()), []);
    }

    #[test]
    fn a_label_that_goes_blocks() {
        let now = daemon_set(json!({"k8s-app": "bird", "kubernetes.io/cluster-service": "true"}), exec());
        let found = compare("DaemonSet bird", now, daemon_set(json!({"k8s-app": "bird"}), exec()));
        assert_eq!(found.len(), 1);
        assert!(found[0].blocks());
        assert_eq!(
            found[0].evidence(),
            "DaemonSet bird selects k8s-app=bird,kubernetes.io/cluster-service=true and would select \
             k8s-app=bird; a selector cannot be changed"
        );
    }

    #[test]
    fn another_handler_is_an_obstacle_that_does_not_block() {
        let labels = || json!({"k8s-app": "bird"});
        let http = json!({"httpGet": {"path": "/healthz", "port": 9876}});
        let found = compare("DaemonSet bird", daemon_set(labels(), exec()), daemon_set(labels(), http));
        let evidence =
            "DaemonSet bird, bird-agent, livenessProbe: exec becomes httpGet; `kubectl apply` leaves both";
        assert_eq!(found.iter().map(Obstacle::evidence).collect::<Vec<_>>(), [evidence]);
        assert!(!found[0].blocks());
    }
}
