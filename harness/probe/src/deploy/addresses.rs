//! Fills the addresses of servers and Services into the flows.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};

use super::watch::Placed;
use super::{DeployError, ServiceName, Target};
use crate::flow::{End, FlowSpec, Kind};
use crate::traffic::Traffic;

/// The domain of a cluster's Services.
pub(super) const DOMAIN: &str = "svc.cluster.local.";
/// Label of a slice that names its Service.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The cluster's DNS: its address, and the nodes on which it is.
struct Dns {
    address: IpAddr,
    nodes: Vec<String>,
}

/// Gives every flow the address of its server or Service, and every question its answer.
pub(super) async fn fill(
    client: &Client,
    target: &Target,
    placed: &Placed,
    traffic: &mut Traffic,
) -> Result<(), DeployError> {
    let mut cluster_ips = Placed::new();
    for planned in &traffic.services {
        let name = ServiceName { namespace: target.namespace.clone(), name: planned.name.clone() };
        cluster_ips.insert(planned.name.clone(), cluster_ip(client, &name).await?);
    }
    let dns = match traffic.flows.iter().any(|flow| flow.kind == Kind::Dns) {
        true => Some(find_dns(client, &target.dns).await?),
        false => None,
    };
    for flow in &mut traffic.flows {
        match &dns {
            Some(dns) if flow.kind == Kind::Dns => ask(flow, dns, target, &cluster_ips),
            _ => {
                let address = match &flow.service {
                    Some(service) => cluster_ips.get(service),
                    None => placed.get(&flow.server.pod),
                };
                flow.address = flow.address.or(address.copied());
            }
        }
        let known = flow.query.as_ref().is_none_or(|query| query.address.is_some());
        if flow.address.is_none() || !known {
            return Err(DeployError::NoServer(flow.id.clone()));
        }
    }
    Ok(())
}

/// Points a flow at the cluster's DNS, with the question and the answer in full.
fn ask(flow: &mut FlowSpec, dns: &Dns, target: &Target, cluster_ips: &Placed) {
    flow.address = Some(dns.address);
    flow.service = Some(target.dns.name.clone());
    flow.server = End { pod: target.dns.name.clone(), node: dns.nodes.join(", ") };
    flow.server_nodes.clone_from(&dns.nodes);
    if let Some(query) = &mut flow.query {
        query.address = cluster_ips.get(&query.name).copied();
        query.name = format!("{}.{}.{DOMAIN}", query.name, target.namespace);
    }
}

async fn find_dns(client: &Client, name: &ServiceName) -> Result<Dns, DeployError> {
    let address = cluster_ip(client, name).await?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &name.namespace);
    let of_service = ListParams::default().labels(&format!("{SERVICE_LABEL}={}", name.name));
    let slices = slices.list(&of_service).await.map_err(|source| DeployError::Api {
        doing: "list",
        object: format!("endpoint slices of service {name}"),
        source: Box::new(source),
    })?;
    let endpoints = slices.items.into_iter().flat_map(|slice| slice.endpoints);
    let mut nodes: Vec<_> = endpoints.filter_map(|endpoint| endpoint.node_name).collect();
    nodes.sort();
    nodes.dedup();
    Ok(Dns { address, nodes })
}

async fn cluster_ip(client: &Client, name: &ServiceName) -> Result<IpAddr, DeployError> {
    let services: Api<Service> = Api::namespaced(client.clone(), &name.namespace);
    let service = services.get(&name.name).await.map_err(|source| DeployError::Api {
        doing: "read",
        object: format!("service {name}"),
        source: Box::new(source),
    })?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).and_then(|ip| ip.parse().ok());
    address.ok_or_else(|| DeployError::NoAddress(name.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::flow::tests::flow;
    use crate::flow::{Layer, Protocol, Query};

    #[test]
    fn a_question_names_the_service_in_full_and_knows_its_answer() {
        let address = |last| IpAddr::from([10, 96, 0, last]);
        let query = Some(Query { name: "servers".into(), address: None });
        let mut flow = FlowSpec { query, ..flow(Kind::Dns, Protocol::Udp, Layer::L4) };
        let dns = Dns { address: address(10), nodes: vec!["node2".into()] };
        let target = Target {
            namespace: "seatrial-7".into(),
            run_id: "7".into(),
            image: "seatrial:abc".into(),
            dns: ServiceName { namespace: "kube-system".into(), name: "kube-dns".into() },
        };
        ask(&mut flow, &dns, &target, &BTreeMap::from([("servers".into(), address(77))]));
        let query = flow.query.as_ref().unwrap();
        assert_eq!(query.name, "servers.seatrial-7.svc.cluster.local.");
        assert_eq!((flow.address, query.address), (Some(address(10)), Some(address(77))));
        assert_eq!(flow.nodes().collect::<Vec<_>>(), ["node1", "node2"]);
        assert_eq!(flow.server.to_string(), "kube-dns on node2");
    }
}
