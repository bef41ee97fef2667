//! The traffic of a run: servers, the policies that they need, probers.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::api::DynamicObject;
use probe::deploy::{Deployment, OutsideHost, Session, Target};
use probe::traffic::Traffic;
use subject::{Installation, cilium};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinHandle;

use crate::observe;
use crate::record::Recorder;

/// Required traffic is not possible on the place.
#[derive(Debug, thiserror::Error)]
#[error("not possible on this cluster: {0}; give it more nodes, or require less")]
pub(crate) struct MissingTraffic(String);

/// The traffic of a run.
pub(crate) struct TrafficRequest {
    pub(crate) traffic: Traffic,
    pub(crate) target: Target,
    /// The host outside of the cluster, where there is one.
    pub(crate) outside: Option<Arc<dyn OutsideHost>>,
    /// Whether every kind of flow is required.
    pub(crate) every_kind: bool,
    /// Parts of flow ids, each of which some flow must have.
    pub(crate) required: Vec<String>,
    /// Policies, in addition to those that the traffic needs.
    pub(crate) policies: Vec<DynamicObject>,
}

impl TrafficRequest {
    /// Traffic of which nothing is required.
    pub(crate) fn optional(traffic: Traffic, target: Target) -> Self {
        let (required, policies) = (Vec::new(), Vec::new());
        Self { traffic, target, outside: None, every_kind: false, required, policies }
    }

    /// Starts the servers, the policies that they need, and the probers. Returns what records the observations of the
    /// probers' nodes, and the probers.
    pub(super) async fn start(
        self,
        recorder: &Arc<Recorder>,
        client: &kube::Client,
        subject: &Installation,
    ) -> anyhow::Result<(JoinHandle<()>, Session)> {
        let Self { traffic, target, outside, every_kind, required, policies } = self;
        let mut missing = if every_kind { traffic.lacks_kinds() } else { Vec::new() };
        missing.extend(traffic.lacks(&required));
        if !missing.is_empty() {
            return Err(MissingTraffic(missing.join(", ")).into());
        }
        recorder.with(|run| run.probing = traffic.fingerprint());
        let labels = BTreeMap::from([(subject::RUN_LABEL.to_owned(), target.run_id.clone())]);
        let granted = cilium::policies(&target.namespace, &labels, &grants(&traffic));
        let servers = Deployment::servers(client.clone(), target, outside, &traffic).await?;
        subject.apply(&granted).await?;
        subject.apply(&policies).await?;
        let (seen, inbox) = unbounded_channel();
        let watcher = tokio::spawn(observe::nodes(inbox, Arc::clone(recorder)));
        Ok((watcher, servers.clients(&recorder.folder().samples(), seen).await?))
    }
}

fn grants(traffic: &Traffic) -> Vec<cilium::Grant> {
    let grant = |grant: &probe::traffic::Grant| cilium::Grant {
        client: grant.client.clone(),
        server: grant.server.clone(),
        protocol: if grant.transport == model::Protocol::Udp { "UDP" } else { "TCP" },
        port: grant.port,
        http: grant
            .http
            .iter()
            .map(|rule| cilium::HttpRule { method: rule.method.clone(), path: rule.path.clone() })
            .collect(),
    };
    traffic.grants.iter().map(grant).collect()
}

#[cfg(test)]
mod tests {
    use probe::traffic::Settings;

    use super::*;

    /// The page that lists what is created in an existing cluster.
    const PAGE: &str = include_str!("../../../../SECURITY.md");

    #[test]
    fn security_md_lists_the_policies_that_are_created() {
        let nodes = ["node1", "node2", "node3"].map(str::to_owned);
        let traffic = Traffic::standard(&nodes, false, &Settings::default());
        let policies = cilium::policies("seatrial-7", &BTreeMap::new(), &grants(&traffic));
        let listed = format!("{} CiliumNetworkPolicy", policies.len());
        assert!(PAGE.contains(&listed), "SECURITY.md does not say: {listed}");
    }
}
