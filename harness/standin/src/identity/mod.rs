//! Identities: numbers for sets of labels, and the map from addresses to them, shared between the nodes.

pub(crate) mod crd;
pub(crate) mod etcd;
pub(crate) mod kvstore;
pub(crate) mod labels;
pub(crate) mod local;
pub(crate) mod migrate;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use tokio::sync::watch;

use crate::agent::endpoint::Endpoint;
use labels::Labels;

/// The identity of nodes.
pub(crate) const HOST: u32 = 1;
/// The identity of everything outside the cluster.
pub(crate) const WORLD: u32 = 2;
/// The identity that later versions give to other nodes.
pub(crate) const REMOTE_NODE: u32 = 6;
/// The first number for pods.
pub(crate) const FIRST: u32 = 256;
/// The last number for pods.
pub(crate) const LAST: u32 = 65535;

/// A number or address that could not be shared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// The kvstore.
    #[error(transparent)]
    Etcd(#[from] etcd::EtcdError),
    /// The API server.
    #[error("the API server refused to {action}")]
    Kubernetes {
        /// The operation, as a verb phrase.
        action: String,
        /// Its answer.
        source: Box<kube::Error>,
    },
    /// No number is free.
    #[error("no number between {FIRST} and {LAST} could be claimed for {0}")]
    Exhausted(Labels),
}

/// What the nodes have agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The labels of every identity.
    pub(crate) identities: BTreeMap<u32, Labels>,
    /// The identity and node of every address.
    pub(crate) addresses: BTreeMap<Ipv4Addr, Address>,
}

/// The owner of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The identity of the pod.
    pub(crate) identity: u32,
    /// The node that the pod runs on.
    pub(crate) node: Ipv4Addr,
}

/// Where identities are kept. Addresses are written to the API server and, if configured, to etcd: nodes that
/// keep identities elsewhere learn of an endpoint, but not necessarily of its number.
pub(crate) enum Store {
    /// In etcd.
    Kvstore(kvstore::Kvstore, crd::EndpointObjects),
    /// In objects of the API server.
    Crd(crd::Crd, Option<kvstore::Addresses>),
    /// Nowhere.
    Local(local::Local),
}

impl Store {
    /// What is known now; changes wake the receiver.
    pub(crate) fn view(&self) -> watch::Receiver<View> {
        match self {
            Self::Kvstore(store, _) => store.view(),
            Self::Crd(store, _) => store.view(),
            Self::Local(store) => store.view(),
        }
    }

    /// Waits until the first complete view has been read.
    pub(crate) async fn synced(&self) {
        match self {
            Self::Kvstore(store, _) => store.synced().await,
            Self::Crd(store, _) => store.synced().await,
            Self::Local(_) => {}
        }
    }

    /// Returns the number for `labels`, and allocates one if necessary.
    pub(crate) async fn identity(&self, labels: &Labels) -> Result<u32, IdentityError> {
        match self {
            Self::Kvstore(store, _) => store.identity(labels).await,
            Self::Crd(store, _) => store.identity(labels).await,
            Self::Local(store) => Ok(store.identity(labels)),
        }
    }

    /// Announces the owner of an endpoint's address to the other nodes.
    pub(crate) async fn publish(&self, endpoint: &Endpoint, node: Ipv4Addr) -> Result<(), IdentityError> {
        match self {
            Self::Kvstore(store, objects) => {
                store.publish(endpoint, node).await?;
                note(objects.publish(endpoint, node).await);
            }
            Self::Crd(store, addresses) => {
                store.publish(endpoint, node).await?;
                if let Some(addresses) = addresses {
                    note(addresses.publish(endpoint, node).await);
                }
            }
            Self::Local(_) => {}
        }
        Ok(())
    }

    /// Takes an endpoint's address back.
    pub(crate) async fn withdraw(&self, endpoint: &Endpoint) -> Result<(), IdentityError> {
        match self {
            // Its pod owns the object, so it is deleted with the pod.
            Self::Kvstore(store, _) => store.withdraw(endpoint.ip).await?,
            Self::Crd(_, Some(addresses)) => note(addresses.withdraw(endpoint.ip).await),
            Self::Crd(_, None) | Self::Local(_) => {}
        }
        Ok(())
    }

    /// Takes back what an earlier run published for this node and no endpoint holds any more.
    pub(crate) async fn withdraw_stale(
        &self,
        node: Ipv4Addr,
        held: &BTreeSet<Ipv4Addr>,
    ) -> Result<(), IdentityError> {
        let Self::Kvstore(store, _) = self else { return Ok(()) };
        let stale: Vec<Ipv4Addr> = {
            let view = store.view();
            let view = view.borrow();
            let addresses = view.addresses.iter();
            addresses.filter(|(ip, it)| it.node == node && !held.contains(*ip)).map(|(ip, _)| *ip).collect()
        };
        for ip in stale {
            store.withdraw(ip).await?;
        }
        Ok(())
    }
}

/// What this node's own identities do not depend on is not worth failing for.
fn note(published: Result<(), IdentityError>) {
    if let Err(error) = published {
        tracing::warn!(error = crate::chain(&error), "an address is not known everywhere");
    }
}

/// Draws a random number that is not in `taken`, as upstream does.
pub(crate) fn draw(taken: &BTreeMap<u32, Labels>) -> Option<u32> {
    use std::hash::{BuildHasher as _, RandomState};
    let span = LAST - FIRST + 1;
    let start = u32::try_from(RandomState::new().hash_one(0) % u64::from(span)).ok()?;
    (0..span).map(|step| FIRST + (start + step) % span).find(|id| !taken.contains_key(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_number_is_in_range_and_free() {
        let taken = (FIRST..LAST).map(|id| (id, Labels::default())).collect();
        assert_eq!(draw(&taken), Some(LAST));
        let all = (FIRST..=LAST).map(|id| (id, Labels::default())).collect();
        assert_eq!(draw(&all), None);
    }
}
