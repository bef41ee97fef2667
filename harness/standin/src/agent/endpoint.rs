//! The pods of this node, kept on the node's disk so that the next agent adopts them.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::datapath::ipam::{self, Exhausted};
use crate::files::write_atomically;
use crate::fqdn::cache::Cache;
use crate::identity::labels::Labels;

/// A pod with its address and identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    /// The sandbox that the address was given to.
    pub(crate) container_id: String,
    /// The pod's namespace.
    pub(crate) namespace: String,
    /// The pod's name.
    pub(crate) pod: String,
    /// The pod's UID.
    pub(crate) pod_uid: String,
    /// Its address.
    pub(crate) ip: Ipv4Addr,
    /// The labels of its identity.
    pub(crate) labels: Labels,
    /// Its identity; 0 until the pod is wired.
    pub(crate) identity: u32,
    /// The names that it queried through the DNS proxy, with the answers.
    #[serde(default)]
    pub(crate) names: Cache,
}

impl Endpoint {
    /// The name of the node's end of the pod's wire.
    pub(crate) fn interface(&self) -> String {
        interface(&self.container_id)
    }
}

/// The name of the link of a sandbox: `lxc` and the beginning of its id, as long as the kernel allows.
pub(crate) fn interface(container_id: &str) -> String {
    let id: String = container_id.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("lxc{id}")
}

/// State that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    /// The disk.
    #[error("the state {} cannot be kept", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No address.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

/// All endpoints of the node by sandbox, each stored in its own file.
#[derive(Debug)]
pub(crate) struct Endpoints {
    folder: PathBuf,
    by_container: BTreeMap<String, Endpoint>,
    last: Option<Ipv4Addr>,
}

impl Endpoints {
    /// Reads what an earlier agent left, keeping those whose link is still there.
    pub(crate) fn restore(folder: &Path, alive: impl Fn(&Endpoint) -> bool) -> Result<Self, EndpointError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| EndpointError::File { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let mut endpoints = Self { folder: folder.to_owned(), by_container: BTreeMap::new(), last: None };
        for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = std::fs::read(&path).map_err(failed(&path))?;
            match serde_json::from_slice::<Endpoint>(&text) {
                Ok(endpoint) if alive(&endpoint) => {
                    endpoints.last = endpoints.last.max(Some(endpoint.ip));
                    endpoints.by_container.insert(endpoint.container_id.clone(), endpoint);
                }
                _ => std::fs::remove_file(&path).map_err(failed(&path))?,
            }
        }
        Ok(endpoints)
    }

    /// Allocates an address for a sandbox; a second request returns the same one.
    pub(crate) fn allocate(
        &mut self,
        cidr: Ipv4Net,
        container_id: &str,
        namespace: &str,
        pod: &str,
    ) -> Result<Ipv4Addr, EndpointError> {
        if let Some(known) = self.by_container.get(container_id) {
            return Ok(known.ip);
        }
        let used = |ip| self.by_container.values().any(|endpoint| endpoint.ip == ip);
        let ip = ipam::next(cidr, self.last, used)?;
        self.put(Endpoint {
            container_id: container_id.to_owned(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            pod_uid: String::new(),
            ip,
            labels: Labels::default(),
            identity: 0,
            names: Cache::default(),
        })?;
        self.last = Some(ip);
        Ok(ip)
    }

    /// Stores an endpoint, on disk first.
    pub(crate) fn put(&mut self, endpoint: Endpoint) -> Result<(), EndpointError> {
        let path = self.file(&endpoint.container_id);
        let failed = |source| EndpointError::File { path: path.clone(), source };
        let text = serde_json::to_vec(&endpoint).map_err(|error| failed(error.into()))?;
        write_atomically(&path, &text, 0o600).map_err(failed)?;
        self.by_container.insert(endpoint.container_id.clone(), endpoint);
        Ok(())
    }

    /// Forgets an endpoint.
    pub(crate) fn remove(&mut self, container_id: &str) -> Result<Option<Endpoint>, EndpointError> {
        let path = self.file(container_id);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(EndpointError::File { path, source });
            }
            _ => {}
        }
        Ok(self.by_container.remove(container_id))
    }

    /// The endpoint of a sandbox.
    pub(crate) fn get(&self, container_id: &str) -> Option<&Endpoint> {
        self.by_container.get(container_id)
    }

    /// Every endpoint.
    pub(crate) fn all(&self) -> Vec<Endpoint> {
        self.by_container.values().cloned().collect()
    }

    fn file(&self, container_id: &str) -> PathBuf {
        let name: String =
            container_id.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '-').collect();
        self.folder.join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr() -> Ipv4Net {
        "10.244.0.0/24".parse().unwrap()
    }

    #[test]
    fn a_restarted_agent_adopts_living_endpoints_and_forgets_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut endpoints = Endpoints::restore(folder.path(), |_| true).unwrap();
        let first = endpoints.allocate(cidr(), "aaa", "shop", "web-0").unwrap();
        let second = endpoints.allocate(cidr(), "bbb", "shop", "web-1").unwrap();
        assert_ne!(first, second);

        let mut restored = Endpoints::restore(folder.path(), |endpoint| endpoint.pod == "web-1").unwrap();
        assert_eq!(restored.all().iter().map(|it| it.ip).collect::<Vec<_>>(), [second]);
        assert!(!folder.path().join("aaa.json").exists());
        assert_ne!(restored.allocate(cidr(), "ccc", "shop", "web-2").unwrap(), second);
    }

    #[test]
    fn asking_again_gives_the_same_address() {
        let folder = tempfile::tempdir().unwrap();
        let mut endpoints = Endpoints::restore(folder.path(), |_| true).unwrap();
        let given = endpoints.allocate(cidr(), "aaa", "shop", "web-0").unwrap();
        assert_eq!(endpoints.allocate(cidr(), "aaa", "shop", "web-0").unwrap(), given);
        endpoints.remove("aaa").unwrap();
        assert!(endpoints.get("aaa").is_none());
        assert!(Endpoints::restore(folder.path(), |_| true).unwrap().all().is_empty());
    }

    #[test]
    fn link_names_fit_the_kernels_limit() {
        assert_eq!(interface("0123456789abcdef0123"), "lxc0123456789ab");
        assert!(interface("0123456789abcdef0123").len() <= 15);
    }
}
