//! The pinned maps of services, which outlast the agent.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::nft::{self, ToolError};
use crate::agent::config::{ConfigError, Settings};
use crate::behaviour::service_maps::{Format, Found, ServiceMaps};
use crate::files::write_atomically;
use crate::service::Frontend;

/// Where they are pinned, on the node and in the pods of the agent and of the pre-flight check alike.
pub(crate) const FOLDER: &str = "/var/run/cilium/bpf/tc/globals";
/// The services of v2 and their backends.
const V2: &str = "cilium_lb4_services_v2";
/// Which formats the connections through services point into.
const CONNECTIONS: &str = "cilium_ct4_services";

/// The maps cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceMapError {
    /// A map.
    #[error("the service map {} cannot be kept", path.display())]
    Map {
        /// Its place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The option.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The kernel.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// The maps of this node.
#[derive(Debug)]
pub(crate) struct Pinned {
    folder: PathBuf,
    keeps: BTreeSet<Format>,
    found: Found,
    written: Option<Vec<Frontend>>,
}

impl Pinned {
    /// Takes the maps over from the agent before; connections that point into none of ours are forgotten.
    pub(crate) async fn take_over(maps: ServiceMaps, settings: &Settings) -> Result<Self, ServiceMapError> {
        let folder = Path::new(FOLDER);
        let (pinned, go_on) = Self::open(folder, maps, settings)?;
        if !go_on {
            nft::forget_service_connections().await?;
        }
        tracing::info!(keeps = ?pinned.keeps, go_on, "service maps");
        write(&folder.join(CONNECTIONS), &pinned.keeps)?;
        Ok(pinned)
    }

    /// Reads the existing maps; returns whether connections continue.
    fn open(folder: &Path, maps: ServiceMaps, settings: &Settings) -> Result<(Self, bool), ServiceMapError> {
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let keeps = maps.keeps(settings)?;
        let formats: BTreeSet<Format> = read(&folder.join(CONNECTIONS))?.unwrap_or_default();
        let found: Option<Vec<Frontend>> = read(&folder.join(V2))?;
        let found = found.filter(|_| maps.trusts_what_it_finds()).unwrap_or_default();
        let pinned = Self { folder: folder.to_owned(), keeps, found: Found::new(found), written: None };
        Ok((pinned, maps.reads(&formats)))
    }

    /// Writes the services that Kubernetes has into the maps, and returns what these hold.
    pub(crate) fn update(&mut self, services: Vec<Frontend>) -> Result<Vec<Frontend>, ServiceMapError> {
        if !self.keeps.contains(&Format::V2) {
            return Ok(services);
        }
        let services = self.found.merge(services);
        if self.written.as_ref() != Some(&services) {
            write(&self.folder.join(V2), &services)?;
            self.written = Some(services.clone());
        }
        Ok(services)
    }
}

/// Removes the maps of v2, as the pre-flight check with `rm-svc-v2` does.
pub(crate) fn remove_v2(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(folder.join(V2)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ServiceMapError> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(path)(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

fn write(path: &Path, content: &impl serde::Serialize) -> Result<(), ServiceMapError> {
    let text = serde_json::to_vec(content).map_err(|error| failed(path)(error.into()))?;
    write_atomically(path, &text, 0o600).map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ServiceMapError {
    let path = path.to_owned();
    move |source| ServiceMapError::Map { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::resolve::Transport;
    use std::net::Ipv4Addr;

    fn web(hosts: &[u8]) -> Vec<Frontend> {
        let backend = |host: &u8| (Ipv4Addr::new(10, 244, 0, *host), 8080);
        let ip = Ipv4Addr::new(10, 96, 0, 10);
        let backends = hosts.iter().map(backend).collect();
        vec![Frontend { ip, transport: Transport::Tcp, port: 80, node_port: None, backends }]
    }

    fn run(folder: &Path, maps: ServiceMaps, hosts: &[u8]) -> Vec<Frontend> {
        let (mut pinned, _) = Pinned::open(folder, maps, &Settings::default()).unwrap();
        pinned.update(web(hosts)).unwrap()
    }

    #[test]
    fn maps_that_1_4_did_not_keep_are_used_by_1_5_until_they_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run(folder.path(), ServiceMaps::Both, &[2, 3]), web(&[2, 3]));
        assert_eq!(run(folder.path(), ServiceMaps::Legacy, &[2]), web(&[2]));
        assert_eq!(run(folder.path(), ServiceMaps::Both, &[2]), web(&[2, 3]));
        remove_v2(folder.path()).unwrap();
        remove_v2(folder.path()).unwrap();
        assert_eq!(run(folder.path(), ServiceMaps::Both, &[2]), web(&[2]));
    }

    #[test]
    fn a_torn_map_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(V2), "torn").unwrap();
        let error = Pinned::open(folder.path(), ServiceMaps::Both, &Settings::default()).unwrap_err();
        assert!(error.to_string().contains(V2), "{error}");
    }
}
