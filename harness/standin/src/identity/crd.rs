//! Identities in `CiliumIdentity` objects, addresses in `CiliumEndpoint` objects.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures_util::StreamExt as _;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::labels::{Label, Labels};
use super::{Address, IdentityError, View, draw, migrate};
use crate::agent::endpoint::Endpoint;

const CLAIMS: usize = 16;
const MANAGER: &str = "cilium-agent";

/// The API server's objects as this node sees them.
pub(crate) struct Crd {
    client: Client,
    objects: EndpointObjects,
    identities: Store<DynamicObject>,
    endpoints: Store<DynamicObject>,
    view: watch::Sender<View>,
}

/// The kind of identities.
pub(crate) fn identity_kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("cilium.io", "v2", "CiliumIdentity"),
        "ciliumidentities",
    )
}

/// The kind of endpoints.
pub(crate) fn endpoint_kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("cilium.io", "v2", "CiliumEndpoint"),
        "ciliumendpoints",
    )
}

impl Crd {
    /// Starts to follow identities and endpoints.
    pub(crate) fn start(client: &Client) -> Self {
        let view = watch::Sender::default();
        let (identities, mut identity_events) = follow(client, identity_kind());
        let (endpoints, mut endpoint_events) = follow(client, endpoint_kind());
        let (ids, eps, sender) = (identities.clone(), endpoints.clone(), view.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(()) = identity_events.next() => {}
                    Some(()) = endpoint_events.next() => {}
                    else => return,
                }
                let next = view_of(&ids, &eps);
                sender.send_if_modified(|known: &mut View| {
                    let changed = *known != next;
                    *known = next;
                    changed
                });
            }
        });
        let objects = EndpointObjects::new(client);
        Self { client: client.clone(), objects, identities, endpoints, view }
    }

    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    pub(super) async fn synced(&self) {
        // The writers live as long as the process.
        drop(self.identities.wait_until_ready().await);
        drop(self.endpoints.wait_until_ready().await);
        self.view.send_replace(view_of(&self.identities, &self.endpoints));
    }

    /// Two nodes may claim numbers for the same labels at once; policy then chooses both numbers, as upstream does.
    pub(super) async fn identity(&self, labels: &Labels) -> Result<u32, IdentityError> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &identity_kind());
        for _ in 0..CLAIMS {
            let known = self.view.borrow().identities.clone();
            if let Some((id, _)) = known.iter().find(|(_, it)| *it == labels) {
                return Ok(*id);
            }
            let Some(id) = draw(&known) else { break };
            if create(&api, id, labels).await? {
                return Ok(id);
            }
        }
        Err(IdentityError::Exhausted(labels.clone()))
    }

    pub(super) async fn publish(&self, endpoint: &Endpoint, node: Ipv4Addr) -> Result<(), IdentityError> {
        self.objects.publish(endpoint, node).await
    }
}

/// The `CiliumEndpoint` objects of this node's pods, which every version keeps.
pub(crate) struct EndpointObjects {
    client: Client,
}

impl EndpointObjects {
    /// Writes to the API server.
    pub(crate) fn new(client: &Client) -> Self {
        Self { client: client.clone() }
    }

    pub(super) async fn publish(&self, endpoint: &Endpoint, node: Ipv4Addr) -> Result<(), IdentityError> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &endpoint.namespace, &endpoint_kind());
        let object = endpoint_object(endpoint, node);
        let params = PatchParams::apply(MANAGER).force();
        match api.patch(&endpoint.pod, &params, &Patch::Apply(&object)).await {
            Ok(_) => Ok(()),
            Err(source) => {
                let action = format!("apply CiliumEndpoint {}/{}", endpoint.namespace, endpoint.pod);
                Err(refused(action, source))
            }
        }
    }
}

/// Lists the identities of the API server once.
pub(crate) struct IdentityObjects {
    api: Api<DynamicObject>,
}

impl IdentityObjects {
    /// Reads and writes at the API server.
    pub(crate) fn new(client: &Client) -> Self {
        Self { api: Api::all_with(client.clone(), &identity_kind()) }
    }
}

impl migrate::Target for IdentityObjects {
    async fn create(&mut self, id: u32, labels: &Labels) -> Result<bool, IdentityError> {
        create(&self.api, id, labels).await
    }

    async fn all(&self) -> Result<BTreeMap<u32, Labels>, IdentityError> {
        let list = self.api.list(&ListParams::default()).await;
        let list = list.map_err(|source| refused("list CiliumIdentity objects".to_owned(), source))?;
        Ok(list.items.iter().filter_map(identity_of).collect())
    }
}

/// Creates an identity; returns whether its number was free.
async fn create(api: &Api<DynamicObject>, id: u32, labels: &Labels) -> Result<bool, IdentityError> {
    match api.create(&PostParams::default(), &identity_object(id, labels)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
        Err(source) => Err(refused(format!("create CiliumIdentity {id}"), source)),
    }
}

fn follow(
    client: &Client,
    kind: ApiResource,
) -> (Store<DynamicObject>, impl futures_util::Stream<Item = ()> + Send + Unpin + use<>) {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let writer = reflector::store::Writer::new(kind.clone());
    let store = writer.as_reader();
    let events = reflector::reflector(writer, watcher(api, watcher::Config::default()).default_backoff());
    let events = events.map(move |event| {
        if let Err(error) = event {
            tracing::warn!(kind = kind.kind, %error, "a watch was interrupted, retrying");
        }
    });
    (store, Box::pin(events))
}

fn refused(action: String, source: kube::Error) -> IdentityError {
    IdentityError::Kubernetes { action, source: Box::new(source) }
}

fn identity_object(id: u32, labels: &Labels) -> DynamicObject {
    let security: BTreeMap<String, &str> =
        labels.iter().map(|it| (format!("{}:{}", it.source, it.key), it.value.as_str())).collect();
    let mut object = DynamicObject::new(&id.to_string(), &identity_kind());
    object.data = json!({"security-labels": security});
    object
}

fn endpoint_object(endpoint: &Endpoint, node: Ipv4Addr) -> Value {
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint",
        "metadata": {
            "name": endpoint.pod, "namespace": endpoint.namespace,
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": endpoint.pod, "uid": endpoint.pod_uid},
            ],
        },
        "status": {
            "identity": {"id": endpoint.identity, "labels":
                endpoint.labels.iter().map(|it| format!("{}:{}={}", it.source, it.key, it.value)).collect::<Vec<_>>()},
            "networking": {"addressing": [{"ipv4": endpoint.ip}], "node": node},
        },
    })
}

fn view_of(identities: &Store<DynamicObject>, endpoints: &Store<DynamicObject>) -> View {
    View {
        identities: identities.state().iter().filter_map(|object| identity_of(object)).collect(),
        addresses: endpoints.state().iter().filter_map(|object| address_of(object)).collect(),
    }
}

fn identity_of(object: &DynamicObject) -> Option<(u32, Labels)> {
    let id = object.metadata.name.as_deref()?.parse().ok()?;
    let labels = object.data.get("security-labels")?.as_object()?.iter().map(|(key, value)| {
        let (source, key) = key.split_once(':').unwrap_or(("k8s", key));
        Label { source: source.into(), key: key.into(), value: value.as_str().unwrap_or_default().into() }
    });
    Some((id, labels.collect()))
}

fn address_of(object: &DynamicObject) -> Option<(Ipv4Addr, Address)> {
    let text = |pointer| object.data.pointer(pointer).and_then(Value::as_str);
    let ip = text("/status/networking/addressing/0/ipv4")?.parse().ok()?;
    let node = text("/status/networking/node")?.parse().ok()?;
    let identity = object.data.pointer("/status/identity/id").and_then(Value::as_u64)?;
    Some((ip, Address { identity: u32::try_from(identity).ok()?, node }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_back() {
        let labels = Labels::parse("k8s:app=web;k8s:io.kubernetes.pod.namespace=shop;");
        assert_eq!(identity_of(&identity_object(300, &labels)), Some((300, labels)));
    }

    #[test]
    fn an_endpoint_is_read_back() {
        let endpoint = Endpoint {
            container_id: "c".into(),
            namespace: "shop".into(),
            pod: "web-0".into(),
            pod_uid: "u".into(),
            ip: Ipv4Addr::new(10, 244, 0, 5),
            labels: Labels::parse("k8s:app=web;"),
            identity: 300,
            names: Default::default(),
        };
        let node = Ipv4Addr::new(10, 250, 0, 11);
        let object = serde_json::from_value(endpoint_object(&endpoint, node)).unwrap();
        assert_eq!(address_of(&object), Some((endpoint.ip, Address { identity: 300, node })));
    }
}
