//! Prepares the files, the certificates and the specification of a sandbox.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::{SandboxError, io};
use super::node_config;
use super::spec::{CONTROL_PLANE, NodeSpec, Pki, Spec};
use crate::images::write_archive;
use crate::ledger::{Entry, Held};
use crate::pki::{Authority, Identity, PkiError};
use crate::private_file;
use crate::request::ClusterRequest;

/// Names of the nodes of a sandbox.
pub(super) fn node_names(nodes: u32) -> Vec<String> {
    (1..=nodes).map(|i| format!("node{i}")).collect()
}

/// Writes the files that the sandbox needs, and describes the rest.
pub(super) fn prepare(
    request: &ClusterRequest,
    dual_stack: bool,
    programs: BTreeMap<String, PathBuf>,
    held: &Held,
    entry: &Entry,
) -> Result<Spec, SandboxError> {
    let images = held.folder().join("images.tar");
    write_archive(&images, &request.images)?;
    let authority = Authority::new("seatrial")?;
    let admin = authority.client("admin", Some("system:masters"))?;
    let server = format!("https://{}", entry.api);
    let kubeconfig =
        crate::pki::kubeconfig(&format!("seatrial-{}", entry.id), &server, &authority.cert, &admin);
    let path = held.folder().join("kubeconfig");
    private_file::write(&path, kubeconfig.as_bytes()).map_err(io("the kubeconfig could not be written"))?;
    Ok(Spec {
        id: entry.id.clone(),
        cgroup: entry.cgroup.clone(),
        folder: held.folder().to_owned(),
        logs: request.logs.clone(),
        programs,
        images: std::iter::once(images).chain(request.archives.iter().cloned()).collect(),
        pause_image: request.images.first().map(|i| i.reference.clone()).unwrap_or_default(),
        cni: request.cni,
        dual_stack,
        pki: pki(&authority)?,
        nodes: nodes(request.nodes, dual_stack, &authority)?,
    })
}

fn nodes(count: u8, dual_stack: bool, authority: &Authority) -> Result<Vec<NodeSpec>, PkiError> {
    let node = |(index, name): (u8, String)| {
        let address = node_config::address(index);
        Ok(NodeSpec {
            client: authority.client(&format!("system:node:{name}"), Some("system:nodes"))?,
            server: authority.server(&name, &[&address, &name])?,
            name,
            address,
            ipv6: dual_stack.then(|| node_config::ipv6_address(index)),
        })
    };
    (1..).zip(node_names(count.into())).map(node).collect()
}

fn pki(authority: &Authority) -> Result<Pki, PkiError> {
    let names =
        [CONTROL_PLANE, "10.96.0.1", "127.0.0.1", "localhost", "kubernetes.default.svc", "kubernetes"];
    let masters =
        |user: &str| -> Result<Identity, PkiError> { authority.client(user, Some("system:masters")) };
    Ok(Pki {
        ca: authority.cert.clone(),
        api_server: authority.server("kube-apiserver", &names)?,
        kubelet_client: masters("kube-apiserver-kubelet-client")?,
        controllers: masters("seatrial-controllers")?,
        tokens: crate::pki::token_key()?,
    })
}
