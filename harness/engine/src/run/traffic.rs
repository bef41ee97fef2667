//! Starts the traffic of a run: servers, the policies that they need, probers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::DynamicObject;
use probe::deploy::{Deployment, OutsideHost, Target};
use probe::traffic::Traffic;
use subject::{Installation, cilium};
use tokio::sync::mpsc::unbounded_channel;

use super::bringup::State;
use super::measure::Window;
use super::observe;
use super::recorder::Recorder;

/// How long traffic may take until all of it flows.
const FLOWING: Duration = Duration::from_secs(30);

/// A cluster of this shape cannot have traffic that is required.
#[derive(Debug, thiserror::Error)]
#[error("not possible on this cluster: {0}; give it more nodes, or require less")]
pub(super) struct Lacking(String);

/// What traffic is wanted, and where.
pub(super) struct Wanted {
    pub(super) traffic: Traffic,
    pub(super) target: Target,
    /// The host outside of the cluster, where there is one.
    pub(super) outside: Option<Arc<dyn OutsideHost>>,
    /// Whether every kind of flow must be among it.
    pub(super) every_kind: bool,
    /// Parts of flow ids that must be among it.
    pub(super) required: Vec<String>,
    /// Policies beside those that the traffic needs.
    pub(super) policies: Vec<DynamicObject>,
}

impl Wanted {
    /// Traffic of a cluster that is taken as it is: nothing must be among it.
    pub(super) fn as_it_is(traffic: Traffic, target: Target) -> Self {
        let (required, policies) = (Vec::new(), Vec::new());
        Self { traffic, target, outside: None, every_kind: false, required, policies }
    }

    /// Starts it; returns when all of it flows.
    pub(super) async fn start(
        self,
        recorder: &Arc<Recorder>,
        client: &kube::Client,
        subject: &Installation,
        state: &mut State,
    ) -> anyhow::Result<String> {
        let Self { traffic, target, outside, every_kind, required, policies } = self;
        let mut lacking = if every_kind { traffic.lacks_kinds() } else { Vec::new() };
        lacking.extend(traffic.lacks(&required));
        if !lacking.is_empty() {
            return Err(Lacking(lacking.join(", ")).into());
        }
        recorder.with(|run| run.probing = traffic.fingerprint());
        let labels = BTreeMap::from([(subject::RUN_LABEL.to_owned(), target.run_id.clone())]);
        let granted = cilium::policies(&target.namespace, &labels, &grants(&traffic));
        let servers = Deployment::servers(client.clone(), target, outside, &traffic).await?;
        subject.apply(&granted).await?;
        subject.apply(&policies).await?;
        let (seen, inbox) = unbounded_channel();
        state.watchers.push(tokio::spawn(observe::nodes(inbox, Arc::clone(recorder))));
        let session = state.session.insert(servers.clients(&recorder.folder().samples(), seen).await?);
        session.flowing(FLOWING).await?;
        Ok(format!("{} flows", session.traffic().flows.len()))
    }
}

/// Opens the window of the baseline: what was before it does not count.
pub(super) async fn measured_from_now(state: &mut State) -> anyhow::Result<()> {
    if let Some(session) = &state.session {
        let flowing_ns = session.flowing(FLOWING).await?;
        state.windows.push(Window::baseline(flowing_ns));
    }
    Ok(())
}

fn grants(traffic: &Traffic) -> Vec<cilium::Grant> {
    let grant = |grant: &probe::traffic::Grant| cilium::Grant {
        client: grant.client.clone(),
        server: grant.server.clone(),
        protocol: if grant.transport == probe::flow::Protocol::Udp { "UDP" } else { "TCP" },
        port: grant.port,
        http: grant
            .http
            .iter()
            .map(|rule| cilium::HttpRule { method: rule.method.clone(), path: rule.path.clone() })
            .collect(),
    };
    traffic.grants.iter().map(grant).collect()
}
