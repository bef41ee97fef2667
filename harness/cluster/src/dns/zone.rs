//! The names that exist, from the objects of the API server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;

use super::DOMAIN;

/// The result of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It exists; it may have no IPv4 address.
    Addresses(Vec<Ipv4Addr>),
    /// It is in the zone and does not exist.
    Nothing,
    /// It is not in the zone.
    NotOurs,
}

/// Services and endpoint slices, by namespace and name.
#[derive(Debug, Default)]
pub(super) struct Zone {
    services: BTreeMap<(String, String), Service>,
    slices: BTreeMap<(String, String), EndpointSlice>,
}

impl Zone {
    pub(super) fn set_service(&mut self, service: Service) {
        self.services.insert((service.namespace().unwrap_or_default(), service.name_any()), service);
    }

    pub(super) fn remove_service(&mut self, service: &Service) {
        self.services.remove(&(service.namespace().unwrap_or_default(), service.name_any()));
    }

    pub(super) fn set_slice(&mut self, slice: EndpointSlice) {
        self.slices.insert((slice.namespace().unwrap_or_default(), slice.name_any()), slice);
    }

    pub(super) fn remove_slice(&mut self, slice: &EndpointSlice) {
        self.slices.remove(&(slice.namespace().unwrap_or_default(), slice.name_any()));
    }

    /// Looks a name up: `SERVICE.NAMESPACE.svc.cluster.local`, in any case, with or without the last dot.
    pub(super) fn find(&self, name: &str) -> Found {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let Some(left) = name.strip_suffix(DOMAIN) else { return Found::NotOurs };
        let labels: Vec<&str> = left.trim_end_matches('.').split('.').collect();
        let [service, namespace] = labels[..] else { return Found::Nothing };
        let Some(found) = self.services.get(&(namespace.to_owned(), service.to_owned())) else {
            return Found::Nothing;
        };
        let cluster_ip = found.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
        Found::Addresses(match cluster_ip {
            Some("None") => self.pods_behind(namespace, service),
            Some(address) => address.parse().into_iter().collect(),
            None => Vec::new(),
        })
    }

    fn pods_behind(&self, namespace: &str, service: &str) -> Vec<Ipv4Addr> {
        let of_service = |slice: &&EndpointSlice| {
            slice.labels().get("kubernetes.io/service-name").is_some_and(|name| name == service)
        };
        let slices = self.slices.iter().filter(|((own, _), _)| own == namespace).map(|(_, slice)| slice);
        let mut addresses: Vec<Ipv4Addr> = slices
            .filter(of_service)
            .flat_map(|slice| &slice.endpoints)
            .filter(|endpoint| endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true))
            .flat_map(|endpoint| &endpoint.addresses)
            .filter_map(|address| address.parse().ok())
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn zone() -> Zone {
        let mut zone = Zone::default();
        let service = |name: &str, ip: &str| {
            let object = json!({"metadata": {"name": name, "namespace": "ns"}, "spec": {"clusterIP": ip}});
            serde_json::from_value(object).unwrap()
        };
        zone.set_service(service("web", "10.96.1.2"));
        zone.set_service(service("db", "None"));
        let slice = json!({
            "metadata": {"name": "db-1", "namespace": "ns", "labels": {"kubernetes.io/service-name": "db"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.244.1.9"], "conditions": {"ready": true}},
                {"addresses": ["10.244.1.7"]},
                {"addresses": ["10.244.1.8"], "conditions": {"ready": false}},
            ],
        });
        zone.set_slice(serde_json::from_value(slice).unwrap());
        zone
    }

    #[rstest]
    #[case::cluster_ip("web.ns.svc.cluster.local.", Found::Addresses(vec![[10, 96, 1, 2].into()]))]
    #[case::any_case("Web.NS.svc.Cluster.local", Found::Addresses(vec![[10, 96, 1, 2].into()]))]
    #[case::headless_ready_only(
        "db.ns.svc.cluster.local",
        Found::Addresses(vec![[10, 244, 1, 7].into(), [10, 244, 1, 9].into()])
    )]
    #[case::unknown("no.ns.svc.cluster.local", Found::Nothing)]
    #[case::too_short("ns.svc.cluster.local", Found::Nothing)]
    #[case::elsewhere("example.org", Found::NotOurs)]
    fn names_are_found(#[case] name: &str, #[case] expected: Found) {
        assert_eq!(zone().find(name), expected);
    }

    #[test]
    fn removed_service_is_gone() {
        let mut zone = zone();
        let service = zone.services.values().find(|s| s.name_any() == "web").cloned().unwrap();
        zone.remove_service(&service);
        assert_eq!(zone.find("web.ns.svc.cluster.local"), Found::Nothing);
    }
}
