//! Fills the addresses of servers and Services into the flows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};

use super::watch::Placed;
use super::{DeployError, ServiceName, Target};
use crate::flow::{End, FlowSpec, Via};
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

/// Sets the address of every flow, and the expected answer of every query.
pub(super) async fn fill(
    client: &Client,
    target: &Target,
    placed: &Placed,
    traffic: &mut Traffic,
) -> Result<(), DeployError> {
    let mut cluster_ips = BTreeMap::new();
    for planned in &traffic.services {
        let name = ServiceName { namespace: target.namespace.clone(), name: planned.name.clone() };
        cluster_ips.insert(planned.name.clone(), cluster_ip(client, &name).await?);
    }
    let dns = match traffic.flows.iter().any(|flow| flow.query.is_some()) {
        true => Some(find_dns(client, &target.dns).await?),
        false => None,
    };
    for flow in traffic.flows.iter_mut().filter(|flow| flow.path.via == Via::NodePort) {
        on_node(client, target, flow).await?;
    }
    for flow in &mut traffic.flows {
        match &dns {
            Some(dns) if flow.query.is_some() => ask(flow, dns, target, &cluster_ips),
            _ => {
                let address = match &flow.service {
                    Some(service) => cluster_ips.get(service).copied(),
                    None => of_server(flow, placed)?,
                };
                flow.address = flow.address.or(address);
            }
        }
        let known = flow.query.as_ref().is_none_or(|query| query.address.is_some());
        if flow.address.is_none() || !known {
            return Err(DeployError::NoServer(flow.id.clone()));
        }
    }
    Ok(())
}

/// Returns the address at which a flow probes its server; `None` when the server was not created.
fn of_server(flow: &FlowSpec, placed: &Placed) -> Result<Option<IpAddr>, DeployError> {
    let Some(all) = placed.get(&flow.server.pod) else { return Ok(None) };
    if flow.path.via != Via::PodIpv6 {
        return Ok(all.first().copied());
    }
    let ipv6 = all.iter().find(|address| address.is_ipv6());
    ipv6.map(|address| Some(*address)).ok_or_else(|| DeployError::NoIpv6(flow.server.pod.clone()))
}

/// Points a flow at the cluster's DNS, with the full query and its expected answer.
fn ask(flow: &mut FlowSpec, dns: &Dns, target: &Target, cluster_ips: &BTreeMap<String, IpAddr>) {
    flow.address = Some(dns.address);
    flow.service = Some(target.dns.name.clone());
    flow.server = End { pod: target.dns.name.clone(), node: dns.nodes.join(", ") };
    flow.server_nodes.clone_from(&dns.nodes);
    if let Some(query) = &mut flow.query {
        query.address = cluster_ips.get(&query.name).copied();
        query.name = format!("{}.{}.{DOMAIN}", query.name, target.namespace);
    }
}

/// Points a flow at its Service's node port.
async fn on_node(client: &Client, target: &Target, flow: &mut FlowSpec) -> Result<(), DeployError> {
    let (Some(name), Some(entry)) = (&flow.service, &flow.entry) else {
        return Err(DeployError::NoServer(flow.id.clone()));
    };
    let name = ServiceName { namespace: target.namespace.clone(), name: name.clone() };
    let nodes: Api<Node> = Api::all(client.clone());
    let node = nodes.get(entry).await.map_err(|source| DeployError::Api {
        doing: "read",
        object: format!("node {entry}"),
        source: Box::new(source),
    })?;
    let service = read(client, &name).await?;
    let (Some(address), Some(port)) = (internal_ip(&node), node_port(&service, flow.port)) else {
        return Err(DeployError::NoNodePort { service: name, node: entry.clone() });
    };
    (flow.address, flow.port) = (Some(address), port);
    Ok(())
}

/// Returns the address by which other nodes reach a node.
fn internal_ip(node: &Node) -> Option<IpAddr> {
    let addresses = node.status.as_ref()?.addresses.as_deref()?;
    addresses.iter().find(|address| address.type_ == "InternalIP")?.address.parse().ok()
}

/// Returns the node port for a port of a Service.
fn node_port(service: &Service, port: u16) -> Option<u16> {
    let ports = service.spec.as_ref()?.ports.as_deref()?;
    let own = ports.iter().find(|own| own.port == i32::from(port))?;
    u16::try_from(own.node_port?).ok()
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

async fn read(client: &Client, name: &ServiceName) -> Result<Service, DeployError> {
    let services: Api<Service> = Api::namespaced(client.clone(), &name.namespace);
    services.get(&name.name).await.map_err(|source| DeployError::Api {
        doing: "read",
        object: format!("service {name}"),
        source: Box::new(source),
    })
}

async fn cluster_ip(client: &Client, name: &ServiceName) -> Result<IpAddr, DeployError> {
    let service = read(client, name).await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).and_then(|ip| ip.parse().ok());
    address.ok_or_else(|| DeployError::NoAddress(name.to_string()))
}

#[cfg(test)]
mod tests {
    use model::{Kind, Layer, Protocol};
    use serde_json::json;

    use super::super::objects::tests::target;
    use super::*;
    use crate::flow::Query;
    use crate::flow::tests::flow;

    #[test]
    fn a_service_on_nodes_is_asked_at_the_nodes_own_address_and_port() {
        let service = json!({"spec": {"ports": [{"port": 7000}, {"port": 7001, "nodePort": 30_123}]}});
        let service: Service = serde_json::from_value(service).unwrap();
        assert_eq!([7000, 7001, 7002].map(|port| node_port(&service, port)), [None, Some(30_123), None]);
        let addresses = json!([{"type": "Hostname", "address": "node1"}, {"type": "InternalIP", "address": "10.250.0.11"}]);
        let node: Node = serde_json::from_value(json!({"status": {"addresses": addresses}})).unwrap();
        assert_eq!(internal_ip(&node), Some([10, 250, 0, 11].into()));
    }

    #[test]
    fn a_pod_is_asked_at_its_first_address_or_at_its_ipv6_one() {
        let [v4, v6]: [IpAddr; 2] = ["10.0.0.7".parse().unwrap(), "fd00::7".parse().unwrap()];
        let at = |via, all: &[IpAddr]| {
            let mut flow = flow(Kind::Packet, Protocol::Udp, Layer::L3);
            flow.path.via = via;
            of_server(&flow, &Placed::from([("server-2".to_owned(), all.to_vec())]))
        };
        assert_eq!(at(Via::PodIp, &[v4, v6]).unwrap(), Some(v4));
        assert_eq!(at(Via::PodIpv6, &[v4, v6]).unwrap(), Some(v6));
        let error = at(Via::PodIpv6, &[v4]).unwrap_err();
        assert!(error.to_string().starts_with("pod server-2 has no IPv6 address"), "{error}");
    }

    #[test]
    fn a_question_names_the_service_in_full_and_knows_its_answer() {
        let address = |last| IpAddr::from([10, 96, 0, last]);
        let query = Some(Query { name: "servers".into(), address: None });
        let mut flow = FlowSpec { query, ..flow(Kind::Dns, Protocol::Udp, Layer::L4) };
        let dns = Dns { address: address(10), nodes: vec!["node2".into()] };
        let target = target();
        ask(&mut flow, &dns, &target, &BTreeMap::from([("servers".into(), address(77))]));
        let query = flow.query.as_ref().unwrap();
        assert_eq!(query.name, "servers.seatrial-7.svc.cluster.local.");
        assert_eq!((flow.address, query.address), (Some(address(10)), Some(address(77))));
        assert_eq!(flow.nodes().collect::<Vec<_>>(), ["node1", "node2"]);
        assert_eq!(flow.server.to_string(), "kube-dns on node2");
    }
}
