//! The labels that only the container runtime knows.
//!
//! The runtime makes a sandbox's container after the sandbox has its network, so a new pod has no such labels at first;
//! they arrive as soon as the runtime reports them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::Agent;
use super::endpoint::Endpoint;
use crate::behaviour::runtime_labels::RuntimeLabels;
use crate::chain;
use crate::identity::labels::Labels;
use crate::runtime;
use crate::wait::pause;

/// How long a sandbox may be without its labels.
const LOOK: Duration = Duration::from_millis(500);

/// The labels that the runtime has reported.
pub(super) struct Runtime {
    choice: RuntimeLabels,
    told: Mutex<BTreeMap<String, Labels>>,
}

impl Runtime {
    /// Nothing yet.
    pub(super) fn new(choice: RuntimeLabels) -> Self {
        Self { choice, told: Mutex::default() }
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<String, Labels>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The labels of an endpoint: those of its pod, or else those that it had, and those that the runtime knows.
    pub(super) fn labels(&self, endpoint: &Endpoint, pod: Option<&Pod>, cluster: &str) -> Labels {
        let (runtimes, own) = endpoint.labels.clone().split_runtime();
        let own = pod.map_or(own, |pod| Labels::of_pod(pod, cluster));
        match self.choice {
            RuntimeLabels::Left => own,
            // Until the first list from the runtime, the labels that an earlier agent stored apply.
            RuntimeLabels::Fetched => {
                let told = self.told().get(&endpoint.container_id).cloned();
                own.with(told.unwrap_or(runtimes))
            }
        }
    }
}

impl Agent {
    /// Reads the labels of every sandbox from the runtime, and of every new one.
    pub(super) async fn keep_asking_the_runtime(&self) {
        if self.runtime.choice == RuntimeLabels::Left {
            return;
        }
        let mut problem = None;
        loop {
            let now = self.ask_the_runtime().await.err().map(|error| chain(&error));
            if now != problem {
                if let Some(problem) = &now {
                    tracing::warn!(problem, "labels of the container runtime are missing, retrying");
                }
                problem = now;
            }
            pause(LOOK).await;
        }
    }

    async fn ask_the_runtime(&self) -> Result<(), runtime::RuntimeError> {
        let endpoints = self.endpoints().all();
        self.runtime.told().retain(|id, _| endpoints.iter().any(|endpoint| endpoint.container_id == *id));
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.identity != 0) {
            let id = &endpoint.container_id;
            if self.runtime.told().contains_key(id) {
                continue;
            }
            if let Some(found) = runtime::labels(Path::new(runtime::SOCKET), id).await? {
                let labels = Labels::of_runtime(&found, &endpoint.labels);
                self.runtime.told().insert(id.clone(), labels);
                self.changed();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const OWN: &str = "k8s:app=web;k8s:io.kubernetes.pod.namespace=shop;";
    const KIND: &str = "container:io.cri-containerd.kind=sandbox;";

    fn endpoint(labels: &str) -> Endpoint {
        Endpoint {
            container_id: "abc".into(),
            namespace: "shop".into(),
            pod: "web".into(),
            pod_uid: String::new(),
            ip: Ipv4Addr::new(10, 244, 0, 2),
            labels: Labels::parse(labels),
            identity: 300,
            names: Default::default(),
        }
    }

    #[test]
    fn what_an_earlier_agent_was_told_holds_until_the_runtime_says_more() {
        let runtime = Runtime::new(RuntimeLabels::Fetched);
        let known = endpoint(&format!("{KIND}{OWN}"));
        assert_eq!(runtime.labels(&known, None, "default"), known.labels);
        runtime.told().insert("abc".into(), Labels::parse("container:tier=gold;"));
        assert_eq!(runtime.labels(&known, None, "default").to_string(), format!("container:tier=gold;{OWN}"));
    }

    #[test]
    fn without_the_runtime_its_labels_are_dropped() {
        let runtime = Runtime::new(RuntimeLabels::Left);
        let labels = runtime.labels(&endpoint(&format!("{KIND}{OWN}")), None, "default");
        assert_eq!(labels.to_string(), OWN);
    }

    #[test]
    fn a_pods_new_labels_count_beside_those_of_the_runtime() {
        let runtime = Runtime::new(RuntimeLabels::Fetched);
        let pod = serde_json::json!({"metadata": {"namespace": "shop", "labels": {"app": "db"}}, "spec": {"containers": []}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let labels = runtime.labels(&endpoint(&format!("{KIND}{OWN}")), Some(&pod), "default").to_string();
        assert!(labels.starts_with(&format!("{KIND}k8s:app=db;")), "{labels}");
    }
}
