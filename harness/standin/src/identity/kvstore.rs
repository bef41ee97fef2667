//! Identities in etcd, under the keys that upstream uses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::etcd::{Change, Etcd, EtcdError, KeyValue};
use super::labels::Labels;
use super::{Address, IdentityError, View, draw};
use crate::agent::endpoint::Endpoint;
use crate::agent::status::Status;
use crate::wait::pause;

const ROOT: &str = "cilium/state/";
const IDS: &str = "cilium/state/identities/v1/id/";
const VALUES: &str = "cilium/state/identities/v1/value/";
const ADDRESSES: &str = "cilium/state/ip/v1/default/";
const RETRY: Duration = Duration::from_millis(500);
const CLAIMS: usize = 16;

/// The value of an address key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AddressValue {
    #[serde(rename = "IP")]
    ip: Ipv4Addr,
    #[serde(rename = "HostIP")]
    host_ip: Ipv4Addr,
    #[serde(rename = "ID")]
    id: u32,
    #[serde(rename = "K8sNamespace")]
    namespace: String,
    #[serde(rename = "K8sPodName")]
    pod: String,
}

/// The kvstore as this node sees it.
pub(crate) struct Kvstore {
    config: Option<PathBuf>,
    shared: Arc<Shared>,
}

struct Shared {
    view: watch::Sender<View>,
    synced: watch::Sender<bool>,
    status: Arc<Status>,
    /// Keys that this node owns, and restores if the kvstore loses them.
    owned: Mutex<BTreeMap<String, String>>,
}

impl Kvstore {
    /// Starts to follow the kvstore that the file at `config` names; it is read again at each attempt.
    pub(crate) fn start(config: Option<PathBuf>, status: Arc<Status>) -> Self {
        let shared = Arc::new(Shared {
            view: watch::Sender::default(),
            synced: watch::Sender::default(),
            status,
            owned: Mutex::default(),
        });
        tokio::spawn(follow(config.clone(), shared.clone()));
        Self { config, shared }
    }

    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.shared.view.subscribe()
    }

    pub(super) async fn synced(&self) {
        // The sender lives in `self`, so the wait cannot end early.
        drop(self.shared.synced.subscribe().wait_for(|synced| *synced).await);
    }

    pub(super) async fn identity(&self, labels: &Labels) -> Result<u32, IdentityError> {
        let etcd = self.etcd()?;
        let value_key = format!("{VALUES}{labels}");
        let text = labels.to_string();
        for _ in 0..CLAIMS {
            if let Some(known) = etcd.get(&value_key).await? {
                let id = known.parse().map_err(|_| EtcdError::Answer(format!("{value_key} = {known}")))?;
                self.own(id, &value_key, &text);
                return Ok(id);
            }
            let drawn = draw(&self.shared.view.borrow().identities);
            let Some(id) = drawn else { break };
            let number = id.to_string();
            if etcd.create(&[(&format!("{IDS}{id}"), &text), (&value_key, &number)]).await? {
                self.own(id, &value_key, &text);
                return Ok(id);
            }
        }
        Err(IdentityError::Exhausted(labels.clone()))
    }

    pub(super) async fn publish(&self, endpoint: &Endpoint, node: Ipv4Addr) -> Result<(), IdentityError> {
        let (key, value) = address(endpoint, node)?;
        self.owned().insert(key.clone(), value.clone());
        Ok(self.etcd()?.put(&key, &value).await?)
    }

    pub(super) async fn withdraw(&self, ip: Ipv4Addr) -> Result<(), IdentityError> {
        let key = format!("{ADDRESSES}{ip}");
        self.owned().remove(&key);
        Ok(self.etcd()?.delete(&key).await?)
    }

    fn own(&self, id: u32, value_key: &str, labels: &str) {
        let mut owned = self.owned();
        owned.insert(format!("{IDS}{id}"), labels.to_owned());
        owned.insert(value_key.to_owned(), id.to_string());
    }

    fn owned(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.shared.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn etcd(&self) -> Result<Etcd, EtcdError> {
        Etcd::from_file(self.config.clone())
    }
}

/// The addresses of the kvstore, for an agent that keeps its identities elsewhere.
pub(crate) struct Addresses {
    config: Option<PathBuf>,
}

impl Addresses {
    /// Writes to the kvstore that the file at `config` names.
    pub(crate) fn new(config: Option<PathBuf>) -> Self {
        Self { config }
    }

    pub(super) async fn publish(&self, endpoint: &Endpoint, node: Ipv4Addr) -> Result<(), IdentityError> {
        let (key, value) = address(endpoint, node)?;
        Ok(Etcd::from_file(self.config.clone())?.put(&key, &value).await?)
    }

    pub(super) async fn withdraw(&self, ip: Ipv4Addr) -> Result<(), IdentityError> {
        Ok(Etcd::from_file(self.config.clone())?.delete(&format!("{ADDRESSES}{ip}")).await?)
    }
}

/// The identities that a kvstore holds.
pub(crate) async fn identities(etcd: &Etcd) -> Result<BTreeMap<u32, Labels>, EtcdError> {
    let mut keys = KeySpace::default();
    keys.replace(etcd.list(IDS).await?.1);
    Ok(keys.view().identities)
}

/// The key and value that name the owner of an endpoint's address.
fn address(endpoint: &Endpoint, node: Ipv4Addr) -> Result<(String, String), EtcdError> {
    let value = AddressValue {
        ip: endpoint.ip,
        host_ip: node,
        id: endpoint.identity,
        namespace: endpoint.namespace.clone(),
        pod: endpoint.pod.clone(),
    };
    let value = serde_json::to_string(&value).map_err(|error| EtcdError::Answer(error.to_string()))?;
    Ok((format!("{ADDRESSES}{}", endpoint.ip), value))
}

/// Lists, then watches, and begins again whenever the watch ends. The last view stays in force meanwhile.
async fn follow(config: Option<PathBuf>, shared: Arc<Shared>) {
    loop {
        if let Err(error) = follow_once(config.clone(), &shared).await {
            tracing::warn!(%error, "the kvstore is not available, retrying");
            shared.status.note("kvstore", Some(error.to_string()));
        }
        pause(RETRY).await;
    }
}

async fn follow_once(config: Option<PathBuf>, shared: &Shared) -> Result<(), EtcdError> {
    let etcd = Etcd::from_file(config)?;
    let (revision, found) = etcd.list(ROOT).await?;
    let mut watch = etcd.watch(ROOT, revision).await?;
    restore(&etcd, shared, &found).await?;
    let mut keys = KeySpace::default();
    keys.replace(found);
    shared.view.send_replace(keys.view());
    shared.status.note("kvstore", None);
    shared.synced.send_replace(true);
    loop {
        for change in watch.next().await? {
            keys.apply(change);
        }
        let view = keys.view();
        shared.view.send_if_modified(|known| {
            let changed = *known != view;
            *known = view;
            changed
        });
    }
}

/// Restores the keys of this node that the kvstore no longer holds.
async fn restore(etcd: &Etcd, shared: &Shared, found: &[KeyValue]) -> Result<(), EtcdError> {
    let mut missing = shared.owned.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for kv in found {
        missing.remove(&kv.key);
    }
    for (key, value) in missing {
        tracing::info!(key, "the kvstore lost a key of this node, writing it again");
        etcd.put(&key, &value).await?;
    }
    Ok(())
}

/// The keys that were read, by name.
#[derive(Default)]
struct KeySpace(BTreeMap<String, String>);

impl KeySpace {
    fn replace(&mut self, found: Vec<KeyValue>) {
        self.0 = found.into_iter().map(|kv| (kv.key, kv.value)).collect();
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put(kv) => self.0.insert(kv.key, kv.value),
            Change::Delete(key) => self.0.remove(&key),
        };
    }

    fn view(&self) -> View {
        let mut view = View::default();
        for (key, value) in &self.0 {
            if let Some(id) = key.strip_prefix(IDS).and_then(|id| id.parse().ok()) {
                view.identities.insert(id, Labels::parse(value));
            } else if key.starts_with(ADDRESSES)
                && let Ok(address) = serde_json::from_str::<AddressValue>(value)
            {
                view.addresses.insert(address.ip, Address { identity: address.id, node: address.host_ip });
            }
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_a_view() {
        let kv = |key: &str, value: &str| KeyValue { key: key.into(), value: value.into() };
        let mut keys = KeySpace::default();
        keys.replace(vec![
            kv("cilium/state/identities/v1/id/300", "k8s:app=web;"),
            kv("cilium/state/identities/v1/value/k8s:app=web;", "300"),
            kv(
                "cilium/state/ip/v1/default/10.244.0.5",
                r#"{"IP":"10.244.0.5","HostIP":"10.250.0.11","ID":300,"K8sNamespace":"shop","K8sPodName":"web-0"}"#,
            ),
        ]);
        let view = keys.view();
        assert_eq!(view.identities, BTreeMap::from([(300, Labels::parse("k8s:app=web;"))]));
        let address = Address { identity: 300, node: Ipv4Addr::new(10, 250, 0, 11) };
        assert_eq!(view.addresses, BTreeMap::from([(Ipv4Addr::new(10, 244, 0, 5), address)]));

        keys.apply(Change::Delete("cilium/state/ip/v1/default/10.244.0.5".into()));
        assert!(keys.view().addresses.is_empty());
    }
}
