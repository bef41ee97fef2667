//! Services: frontends and their backends.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use serde::{Deserialize, Serialize};

use crate::policy::resolve::Transport;

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Frontend {
    /// The cluster address.
    pub(crate) ip: Ipv4Addr,
    /// Its protocol.
    pub(crate) transport: Transport,
    /// Its port.
    pub(crate) port: u16,
    /// The node port, if any.
    pub(crate) node_port: Option<u16>,
    /// Ready backends.
    pub(crate) backends: BTreeSet<(Ipv4Addr, u16)>,
}

/// Joins services with their slices.
pub(crate) fn frontends<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    slices: &[&'a EndpointSlice],
) -> Vec<Frontend> {
    let mut frontends: Vec<Frontend> =
        services.into_iter().flat_map(|service| of_service(service, slices)).collect();
    frontends.sort();
    frontends
}

fn of_service(service: &Service, slices: &[&EndpointSlice]) -> Vec<Frontend> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let Some(ip) = spec.cluster_ip.as_deref().and_then(|ip| ip.parse().ok()) else { return Vec::new() };
    let own: Vec<_> = slices.iter().copied().filter(|slice| belongs(slice, service)).collect();
    let frontend = |port: &ServicePort| {
        let transport = transport(port.protocol.as_deref())?;
        let backends = own.iter().flat_map(|slice| backends(slice, port)).collect();
        let node_port = port.node_port.and_then(|it| u16::try_from(it).ok());
        Some(Frontend { ip, transport, port: u16::try_from(port.port).ok()?, node_port, backends })
    };
    spec.ports.iter().flatten().filter_map(frontend).collect()
}

fn belongs(slice: &EndpointSlice, service: &Service) -> bool {
    let named = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
    slice.address_type == "IPv4"
        && slice.metadata.namespace == service.metadata.namespace
        && named.is_some()
        && named == service.metadata.name.as_ref()
}

fn backends(slice: &EndpointSlice, port: &ServicePort) -> Vec<(Ipv4Addr, u16)> {
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let mut ports = slice.ports.iter().flatten();
    let same = ports.find(|it| {
        name(&it.name) == name(&port.name)
            && transport(it.protocol.as_deref()) == transport(port.protocol.as_deref())
    });
    let Some(number) = same.and_then(|it| it.port).and_then(|it| u16::try_from(it).ok()) else {
        return Vec::new();
    };
    let ready = |ready: Option<bool>| ready.unwrap_or(true);
    slice
        .endpoints
        .iter()
        .filter(|endpoint| ready(endpoint.conditions.as_ref().and_then(|it| it.ready)))
        .filter_map(|endpoint| endpoint.addresses.first()?.parse().ok())
        .map(|ip| (ip, number))
        .collect()
}

fn transport(protocol: Option<&str>) -> Option<Transport> {
    match protocol {
        None | Some("TCP") => Some(Transport::Tcp),
        Some("UDP") => Some(Transport::Udp),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(cluster_ip: &str) -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"clusterIP": cluster_ip, "ports": [
                {"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080},
                {"name": "dns", "port": 53, "protocol": "UDP"},
            ]},
        }))
        .unwrap()
    }

    fn slice(service: &str, endpoints: serde_json::Value) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 5353, "protocol": "UDP"}],
        }))
        .unwrap()
    }

    #[test]
    fn backends_come_from_every_slice_and_only_when_ready() {
        let slices = [
            slice("web", json!([{"addresses": ["10.244.0.5"], "conditions": {"ready": true}}])),
            slice(
                "web",
                json!([
                    {"addresses": ["10.244.1.6"]}, {"addresses": ["10.244.1.7"], "conditions": {"ready": false}},
                ]),
            ),
            slice("other", json!([{"addresses": ["10.244.1.8"]}])),
        ];
        let found = frontends([&service("10.96.0.10")], &slices.iter().collect::<Vec<_>>());
        let [http, dns] = &found[..] else { panic!("{found:?}") };
        let backends = |port| {
            BTreeSet::from([(Ipv4Addr::new(10, 244, 0, 5), port), (Ipv4Addr::new(10, 244, 1, 6), port)])
        };
        assert_eq!((http.port, http.node_port, &http.backends), (80, Some(30080), &backends(8080)));
        assert_eq!((dns.port, dns.node_port, &dns.backends), (53, None, &backends(5353)));
    }

    #[test]
    fn a_headless_service_has_no_frontend() {
        assert!(frontends([&service("None")], &[]).is_empty());
    }

    #[test]
    fn a_service_without_slices_has_no_backends() {
        let found = frontends([&service("10.96.0.10")], &[]);
        assert!(found.len() == 2 && found.iter().all(|frontend| frontend.backends.is_empty()));
    }
}
