//! Set-up of the node before its first pod.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;

use super::netlink::{Netlink, NetlinkError, NextHop};
use super::ruleset::PROXY_MARK;

const PROXY_TABLE: u32 = 2004;

/// The node cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// A kernel setting.
    #[error("{} cannot be written; the agent has to run privileged", path.display())]
    Sysctl {
        /// The setting's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The routing table.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// Turns forwarding on and reverse-path filtering off, and routes marked packets to the proxy.
pub(crate) async fn prepare(netlink: &Netlink) -> Result<(), NodeError> {
    set("net/ipv4/ip_forward", "1")?;
    set("net/ipv4/conf/default/rp_filter", "0")?;
    for interface in interfaces()? {
        set(&format!("net/ipv4/conf/{interface}/rp_filter"), "0")?;
    }
    if let Some(loopback) = netlink.index("lo").await? {
        netlink.deliver_marked(PROXY_MARK, PROXY_TABLE, loopback).await?;
    }
    Ok(())
}

/// Makes our routes be `wanted`: a prefix for every node.
pub(crate) async fn sync_routes(
    netlink: &Netlink,
    wanted: &BTreeMap<Ipv4Net, NextHop>,
) -> Result<(), NodeError> {
    for (prefix, to) in wanted {
        netlink.route_prefix(*prefix, *to).await?;
    }
    for (prefix, route) in netlink.own_routes().await? {
        if !wanted.contains_key(&prefix) {
            netlink.delete_route(route).await?;
        }
    }
    Ok(())
}

/// Writes one kernel setting, unless it has the value already.
pub(super) fn set(name: &str, value: &str) -> Result<(), NodeError> {
    let path = Path::new("/proc/sys").join(name);
    let failed = |source| NodeError::Sysctl { path: path.clone(), source };
    if std::fs::read_to_string(&path).map_err(failed)?.trim() == value {
        return Ok(());
    }
    std::fs::write(&path, value).map_err(failed)
}

/// The names of the links of this namespace.
pub(crate) fn interfaces() -> Result<Vec<String>, NodeError> {
    let path = PathBuf::from("/proc/sys/net/ipv4/conf");
    let names = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    };
    names().map_err(|source| NodeError::Sysctl { path: path.clone(), source })
}
