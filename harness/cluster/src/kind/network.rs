//! A plain pod network for a bare kind cluster: a veth pair per pod, a route per node.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use serde_json::json;

use super::docker;
use super::error::KindError;

/// The pod ranges of a node, one per address family.
struct PodRanges {
    node: String,
    families: Vec<Family>,
}

/// The address of a node and the range of its pods, in one family.
struct Family {
    address: IpAddr,
    pods: String,
}

impl Family {
    fn everywhere(&self) -> &'static str {
        if self.address.is_ipv4() { "0.0.0.0/0" } else { "::/0" }
    }
}

impl PodRanges {
    fn of(node: Node) -> Option<Self> {
        let addresses = node.status?.addresses?.into_iter().filter(|own| own.type_ == "InternalIP");
        let addresses: Vec<IpAddr> = addresses.filter_map(|own| own.address.parse().ok()).collect();
        let family = |pods: String| {
            let ipv6 = pods.contains(':');
            let address = *addresses.iter().find(|address| address.is_ipv6() == ipv6)?;
            Some(Family { address, pods })
        };
        let families = node.spec?.pod_cidrs?.into_iter().filter_map(family).collect();
        Some(Self { node: node.metadata.name?, families })
    }

    fn plugins(&self) -> String {
        let ranges = self.families.iter().map(|family| json!([{"subnet": family.pods}]));
        let routes = self.families.iter().map(|family| json!({"dst": family.everywhere()}));
        json!({
            "cniVersion": "0.4.0",
            "name": "seatrial",
            "plugins": [{
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": ranges.collect::<Vec<_>>(),
                    "routes": routes.collect::<Vec<_>>(),
                },
            }],
        })
        .to_string()
    }
}

/// Writes the CNI configuration and the routes to every node; the nodes then become Ready.
pub(super) async fn write(client: &kube::Client) -> Result<(), KindError> {
    let api: Api<Node> = Api::all(client.clone());
    let nodes = api.list(&ListParams::default()).await.map_err(|e| KindError::Nodes(Box::new(e)))?;
    let nodes: Vec<PodRanges> = nodes.into_iter().filter_map(PodRanges::of).collect();
    for ranges in &nodes {
        let others = nodes.iter().filter(|other| other.node != ranges.node);
        for family in others.flat_map(|other| &other.families) {
            let route = ["ip", "route", "replace", &family.pods, "via", &family.address.to_string()];
            docker::exec(&ranges.node, &route).await?;
        }
        let script = r#"printf %s "$1" >/etc/cni/net.d/10-seatrial.conflist"#;
        docker::exec(&ranges.node, &["sh", "-c", script, "sh", &ranges.plugins()]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[rstest]
    #[case::one_family(&["10.244.0.0/24"], &["0.0.0.0/0"])]
    #[case::both(&["10.244.0.0/24", "fd00:10:244::/64"], &["0.0.0.0/0", "::/0"])]
    fn pods_get_an_address_and_a_default_route_of_each_family(#[case] pods: &[&str], #[case] out: &[&str]) {
        let addresses = ["172.18.0.2", "fc00::2"].map(|ip| json!({"type": "InternalIP", "address": ip}));
        let node = json!({"metadata": {"name": "n"}, "spec": {"podCIDRs": pods}, "status": {"addresses": addresses}});
        let place = PodRanges::of(serde_json::from_value(node).unwrap()).unwrap();
        let reached: Vec<_> = place.families.iter().map(|family| family.address.to_string()).collect();
        assert_eq!(reached, ["172.18.0.2", "fc00::2"][..pods.len()]);
        let plugins: Value = serde_json::from_str(&place.plugins()).unwrap();
        let ipam = &plugins["plugins"][0]["ipam"];
        let subnets: Vec<_> = pods.iter().map(|pods| json!([{"subnet": pods}])).collect();
        assert_eq!(ipam["ranges"], json!(subnets));
        let routes: Vec<_> = out.iter().map(|out| json!({"dst": out})).collect();
        assert_eq!(ipam["routes"], json!(routes));
    }
}
