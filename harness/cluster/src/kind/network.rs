//! A plain network for a bare kind cluster: a wire for each pod, a route for each node.

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use serde_json::json;

use super::{KindError, docker};

/// Where a node's pods live.
struct Place {
    node: String,
    address: String,
    pods: String,
}

impl Place {
    fn of(node: Node) -> Option<Self> {
        let addresses = node.status?.addresses?;
        let address = addresses.into_iter().find(|a| a.type_ == "InternalIP")?.address;
        Some(Self { node: node.metadata.name?, address, pods: node.spec?.pod_cidr? })
    }

    fn plugins(&self) -> String {
        json!({
            "cniVersion": "0.4.0",
            "name": "seatrial",
            "plugins": [{
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": self.pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        })
        .to_string()
    }
}

/// Lays it on every node; the kubelets find it and become Ready.
pub(super) async fn lay(client: &kube::Client) -> Result<(), KindError> {
    let api: Api<Node> = Api::all(client.clone());
    let nodes = api.list(&ListParams::default()).await.map_err(|e| KindError::Nodes(Box::new(e)))?;
    let places: Vec<Place> = nodes.into_iter().filter_map(Place::of).collect();
    for place in &places {
        for other in places.iter().filter(|other| other.node != place.node) {
            let route = ["ip", "route", "replace", &other.pods, "via", &other.address];
            docker::exec(&place.node, &route).await?;
        }
        let write = r#"printf %s "$1" >/etc/cni/net.d/10-seatrial.conflist"#;
        docker::exec(&place.node, &["sh", "-c", write, "sh", &place.plugins()]).await?;
    }
    Ok(())
}
