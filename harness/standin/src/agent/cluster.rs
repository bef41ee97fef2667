//! What the agent knows of the cluster: objects that it follows.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_util::StreamExt as _;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// A node of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeAddress {
    /// Its internal address.
    pub(crate) ip: Ipv4Addr,
    /// The prefix of its pods.
    pub(crate) pods: Ipv4Net,
}

/// The objects that the datapath depends on.
pub(crate) struct Cluster {
    nodes: Store<Node>,
    pods: Store<Pod>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    policies: Store<DynamicObject>,
}

/// The kind of network policies.
pub(crate) fn policy_kind() -> ApiResource {
    let gvk = GroupVersionKind::gvk("cilium.io", "v2", "CiliumNetworkPolicy");
    ApiResource::from_gvk_with_plural(&gvk, "ciliumnetworkpolicies")
}

impl Cluster {
    /// Starts to follow the cluster; every change bumps `changes`.
    pub(crate) fn follow(client: &Client, node: &str, changes: &watch::Sender<u64>) -> Self {
        let own = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
        let all = watcher::Config::default;
        let policies = Api::all_with(client.clone(), &policy_kind());
        Self {
            nodes: store(Api::all(client.clone()), all(), (), changes),
            pods: store(Api::all(client.clone()), own, (), changes),
            services: store(Api::all(client.clone()), all(), (), changes),
            slices: store(Api::all(client.clone()), all(), (), changes),
            policies: store(policies, all(), policy_kind(), changes),
        }
    }

    /// Waits until everything has been listed once.
    pub(crate) async fn synced(&self) {
        // The writers live as long as the process.
        drop(tokio::join!(
            self.nodes.wait_until_ready(),
            self.pods.wait_until_ready(),
            self.services.wait_until_ready(),
            self.slices.wait_until_ready(),
            self.policies.wait_until_ready(),
        ));
    }

    /// The nodes that have an address and a pod prefix.
    pub(crate) fn nodes(&self) -> Vec<NodeAddress> {
        self.nodes.state().iter().filter_map(|node| node_address(node)).collect()
    }

    /// The internal addresses of all nodes.
    pub(crate) fn node_ips(&self) -> BTreeSet<Ipv4Addr> {
        self.nodes.state().iter().filter_map(|node| internal_ip(node)).collect()
    }

    /// A pod of this node.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.pods.get(&reflector::ObjectRef::new(name).within(namespace))
    }

    /// Every service.
    pub(crate) fn services(&self) -> Vec<Arc<Service>> {
        self.services.state()
    }

    /// Every endpoint slice.
    pub(crate) fn slices(&self) -> Vec<Arc<EndpointSlice>> {
        self.slices.state()
    }

    /// Every policy object.
    pub(crate) fn policies(&self) -> Vec<Arc<DynamicObject>> {
        self.policies.state()
    }
}

/// The address and pod prefix of a node, once it has both.
pub(crate) fn node_address(node: &Node) -> Option<NodeAddress> {
    let pods = node.spec.as_ref()?.pod_cidr.as_deref()?.parse::<Ipv4Net>().ok()?.trunc();
    Some(NodeAddress { ip: internal_ip(node)?, pods })
}

fn internal_ip(node: &Node) -> Option<Ipv4Addr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    addresses.iter().find(|it| it.type_ == "InternalIP")?.address.parse().ok()
}

fn store<K>(
    api: Api<K>,
    config: watcher::Config,
    kind: K::DynamicType,
    changes: &watch::Sender<u64>,
) -> Store<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + std::hash::Hash + Unpin + Send + Sync,
{
    let writer = reflector::store::Writer::new(kind.clone());
    let store = writer.as_reader();
    let changes = changes.clone();
    let mut events = Box::pin(reflector::reflector(writer, watcher(api, config).default_backoff()));
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                // Objects of a list become visible together, when it is complete.
                Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
                Ok(_) => changes.send_modify(|count| *count += 1),
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&kind), %error, "a watch was interrupted, retrying");
                }
            }
        }
    });
    store
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_counts_once_it_has_an_address_and_a_prefix() {
        let node = |spec| {
            let node = json!({"metadata": {"name": "n"}, "spec": spec, "status": {"addresses": [
                {"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "10.250.0.11"}]}});
            node_address(&serde_json::from_value(node).unwrap())
        };
        let expected =
            NodeAddress { ip: Ipv4Addr::new(10, 250, 0, 11), pods: "10.244.0.0/24".parse().unwrap() };
        assert_eq!(node(json!({"podCIDR": "10.244.0.0/24"})), Some(expected));
        assert_eq!(node(json!({})), None);
    }
}
