//! The plugin that the container runtime runs on the node for every pod.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::protocol::{CniError, Command, Interface, Invocation, NetConf, VERSIONS, added, versions};
use crate::agent::api::{AskError, Reply, Request, SOCKET, ask_patiently};
use crate::agent::endpoint::interface;
use crate::datapath::netlink::{Netlink, NetlinkError};
use crate::datapath::pod::{GATEWAY, PodError, Wire};

/// How long a pod waits for an agent that restarts; the kubelet tries again afterwards.
const PATIENCE: Duration = Duration::from_secs(30);
const DELETE_PATIENCE: Duration = Duration::from_secs(10);

/// Runs one invocation and writes its result or error to standard output; returns whether it succeeded.
pub(crate) async fn run() -> io::Result<bool> {
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input)?;
    let invocation = Invocation::read(|name| std::env::var(name).ok());
    let (cni_version, result) = match serde_json::from_slice::<NetConf>(&input) {
        Ok(conf) => {
            let result = match invocation {
                Ok(invocation) => perform(&invocation, &conf).await,
                Err(error) => Err(error),
            };
            (conf.cni_version, result)
        }
        Err(error) => (VERSIONS[0].to_owned(), Err(CniError::config(error.to_string()))),
    };
    let (document, succeeded) = match result {
        Ok(document) => (document, true),
        Err(error) => (Some(error.document(&cni_version)), false),
    };
    if let Some(document) = document {
        writeln!(io::stdout().lock(), "{document}")?;
    }
    Ok(succeeded)
}

async fn perform(invocation: &Invocation, conf: &NetConf) -> Result<Option<Value>, CniError> {
    let cni_version = conf.cni_version.as_str();
    if invocation.command != Command::Version && !VERSIONS.contains(&cni_version) {
        return Err(CniError {
            code: 1,
            msg: format!("cniVersion {cni_version} is not one of {VERSIONS:?}"),
        });
    }
    match invocation.command {
        Command::Add => add(invocation, cni_version).await.map(Some),
        Command::Del => delete(invocation).await.map(|()| None),
        Command::Check => check(invocation).await.map(|()| None),
        Command::Version => Ok(Some(versions(cni_version))),
    }
}

async fn add(invocation: &Invocation, cni_version: &str) -> Result<Value, CniError> {
    let allocate = Request::Allocate {
        container_id: invocation.container_id.clone(),
        namespace: invocation.pod_namespace.clone(),
        pod: invocation.pod.clone(),
    };
    let (ip, node_ip) = match ask(&allocate, PATIENCE).await? {
        Reply::Address { ip, node_ip } => (ip, node_ip),
        other => return Err(CniError::failed(format!("the agent answered {other:?}"))),
    };
    let host_interface = interface(&invocation.container_id);
    let wire = Wire {
        host_interface: &host_interface,
        pod_interface: &invocation.interface,
        namespace: &invocation.namespace_path,
        ip,
        node_ip,
    };
    wire.attach().await?;
    ask(&Request::Create { container_id: invocation.container_id.clone() }, PATIENCE).await?;
    let host = Interface { name: wire.host_interface, mac: wire.host_mac(), sandbox: "" };
    let pod = Interface { name: wire.pod_interface, mac: wire.pod_mac(), sandbox: wire.namespace };
    Ok(added(cni_version, &host, &pod, ip, GATEWAY))
}

/// Removes the wire first: it must be removed even if no agent returns.
async fn delete(invocation: &Invocation) -> Result<(), CniError> {
    let netlink = Netlink::open()?;
    netlink.delete_link(&interface(&invocation.container_id)).await?;
    ask(&Request::Delete { container_id: invocation.container_id.clone() }, DELETE_PATIENCE).await?;
    Ok(())
}

async fn check(invocation: &Invocation) -> Result<(), CniError> {
    let link = interface(&invocation.container_id);
    if Netlink::open()?.index(&link).await?.is_none() {
        return Err(CniError::failed(format!("link {link} is missing")));
    }
    ask(&Request::Check { container_id: invocation.container_id.clone() }, PATIENCE).await?;
    Ok(())
}

async fn ask(request: &Request, patience: Duration) -> Result<Reply, CniError> {
    ask_patiently(Path::new(SOCKET), request, patience).await.map_err(|error| match error {
        AskError::Away(_) => CniError::try_again(error.to_string()),
        AskError::Failed(_) => CniError::failed(error.to_string()),
    })
}

impl From<PodError> for CniError {
    fn from(error: PodError) -> Self {
        Self::failed(crate::chain(&error))
    }
}

impl From<NetlinkError> for CniError {
    fn from(error: NetlinkError) -> Self {
        Self::failed(crate::chain(&error))
    }
}
