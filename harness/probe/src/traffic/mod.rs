//! The planned traffic of a run: pods, services, flows, and what policies must grant. Pure.

mod part;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use model::{Kind, Protocol};
use sha2::{Digest as _, Sha256};

pub use part::{Part, ProbePod};

use crate::exchange::Listener;
use crate::flow::{Expectation, FlowSpec, Policy, Token, Via};
pub use crate::kinds::Settings;
pub use crate::kinds::ports::{
    CANARY_PORT, CLOSED_PORT, HOST_PORT, HTTP_PORT, HTTP2_PORT, L7_PORT, OUTSIDE, OUTSIDE_PORT, TCP_PORT,
    UDP_PORT,
};
pub(crate) use crate::kinds::row::ALL_SERVERS;

/// Label with the [`Part`] of a probe pod.
pub const PART_LABEL: &str = "seatrial.dev/probe";
/// Label with the name of a probe pod.
pub const NAME_LABEL: &str = "seatrial.dev/name";
/// The headless Service that gives the first of [`OUTSIDE`] its name.
pub const OUTSIDE_NAME: &str = "outside";
/// The node name of the ends of flows on a host outside the cluster.
pub const OUTSIDE_HOST: &str = "outside";

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeService {
    /// Name.
    pub name: String,
    /// Labels of the pods behind it.
    pub selector: BTreeMap<String, String>,
    /// Ports.
    pub ports: Vec<Listener>,
    /// Whether every node serves it on node ports.
    pub on_nodes: bool,
}

/// An HTTP request that a policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// Method.
    pub method: String,
    /// Path, literally.
    pub path: String,
}

/// A grant of a policy: everything that is not granted must be blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Labels of the clients.
    pub client: BTreeMap<String, String>,
    /// Labels of the servers.
    pub server: BTreeMap<String, String>,
    /// [`Protocol::Udp`] or [`Protocol::Tcp`].
    pub transport: Protocol,
    /// Port.
    pub port: u16,
    /// The allowed requests; empty when everything on the port is allowed.
    pub http: Vec<HttpRule>,
}

/// A name for an address outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideName {
    /// The Service that gives the name.
    pub name: String,
    /// The address.
    pub address: Ipv4Addr,
}

/// The traffic of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Pods.
    pub pods: Vec<ProbePod>,
    /// Services.
    pub services: Vec<ProbeService>,
    /// Names for addresses outside the cluster.
    pub names: Vec<OutsideName>,
    /// Flows.
    pub flows: Vec<FlowSpec>,
    /// What policies must grant.
    pub grants: Vec<Grant>,
}

impl Traffic {
    /// Plans the standard traffic for a cluster with these nodes, and for a host outside it if there is one (`outside`);
    /// empty when there are no nodes.
    ///
    /// Flows that cross policies start on the first node, and most others on the second; servers are on the first three.
    /// With one node there are no cross-node flows, and the canary stays on its host.
    #[must_use]
    pub fn standard(nodes: &[String], outside: bool, settings: &Settings) -> Self {
        plan::standard(nodes, outside, settings)
    }

    /// Plans the traffic of a calibration: a packet flow and a held TCP flow from the first node to the second, `rate`
    /// probes a second each, and the canary; empty with fewer than two nodes.
    #[must_use]
    pub fn calibration(nodes: &[String], rate: u32) -> Self {
        plan::calibration(nodes, rate)
    }

    /// Removes what needs policies, for a cluster that enforces none. Flows that cross a policy on addresses and ports stay
    /// as flows without a policy, unless there is such a flow already.
    #[must_use]
    pub fn without_policies(mut self) -> Self {
        self.grants.clear();
        self.flows
            .retain(|flow| flow.expect == Expectation::Answered && flow.path.policy != Policy::L7Policy);
        let mut ids: BTreeSet<String> = BTreeSet::new();
        let plain = |flow: &FlowSpec| flow.path.policy == Policy::NoPolicy;
        ids.extend(self.flows.iter().filter(|flow| plain(flow)).map(|flow| flow.id.clone()));
        self.flows.retain_mut(|flow| {
            if plain(flow) {
                return true;
            }
            flow.path.policy = Policy::NoPolicy;
            flow.id = flow.id.replace(Policy::L4Policy.id(), Policy::NoPolicy.id());
            ids.insert(flow.id.clone())
        });
        self
    }

    /// Gives every flow the token of the run, without which servers do not answer datagrams.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.flows.iter_mut().for_each(|flow| flow.token = Some(token));
        self
    }

    /// Removes the flows that use such addresses, for a cluster in which they lead nowhere.
    #[must_use]
    pub fn without(mut self, vias: &[Via]) -> Self {
        let Self { pods, services, flows, .. } = &mut self;
        flows.retain(|flow| !vias.contains(&flow.path.via));
        pods.retain(|pod| {
            let is_end = |flow: &FlowSpec| flow.client.pod == pod.name || flow.server.pod == pod.name;
            !pod.part.is_outside() || flows.iter().any(is_end)
        });
        services.retain(|service| flows.iter().any(|flow| flow.service.as_ref() == Some(&service.name)));
        self
    }

    /// Returns the kinds without a planned flow.
    #[must_use]
    pub fn lacks_kinds(&self) -> Vec<String> {
        let kinds = Kind::ALL.iter().filter(|kind| !self.flows.iter().any(|flow| flow.kind == **kind));
        kinds.map(|kind| format!("flows of the kind {kind}")).collect()
    }

    /// Returns the required parts of flow ids that no planned flow has.
    #[must_use]
    pub fn lacks(&self, required: &[String]) -> Vec<String> {
        let parts = required.iter().filter(|part| !self.flows.iter().any(|flow| flow.id.contains(*part)));
        parts.map(|part| format!("flow {part}")).collect()
    }

    /// Returns a fingerprint of how flows are probed, 12 hexadecimal digits: runs with different ones cannot be compared.
    /// Addresses do not count.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut flows: Vec<_> = self.flows.iter().map(FlowSpec::probing).collect();
        flows.sort_unstable();
        let digest = Sha256::digest(flows.join("\n"));
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the flows that a pod probes, in the order in which it numbers them.
    pub fn flows_of<'a>(&'a self, pod: &'a str) -> impl Iterator<Item = &'a FlowSpec> {
        self.flows.iter().filter(move |flow| flow.client.pod == pod)
    }
}

#[cfg(test)]
mod tests;
