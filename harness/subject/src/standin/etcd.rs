//! The etcd with the stand-in's identities: one pod on the first node's own address, with TLS and client certificates, as in
//! the guide's example.
//!
//! Source: Cilium 1.6 upgrade guide, `etcd-config` of the ConfigMap example, and the Secret that it names.

use cluster::pki::{Authority, Identity};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::cilium::NAMESPACE;
use crate::error::PrepareError;
use crate::facts::Facts;

const PORT: u16 = 32_379;
/// The Secret of the agents.
const CLIENT: &str = "cilium-etcd-secrets";
/// The Secret of etcd.
const SERVER: &str = "cilium-etcd-server";
/// Folder of the certificates in the pod.
const CERTIFICATES: &str = "/etc/etcd";

/// Its address.
pub(super) fn endpoint(facts: &Facts) -> Result<String, PrepareError> {
    let (_, address) = first_node(facts)?;
    Ok(format!("https://{address}:{PORT}"))
}

/// Its pod and the certificates of both sides, which are new each time.
pub(super) fn objects(facts: &Facts, image: &str) -> Result<Vec<DynamicObject>, PrepareError> {
    let (node, address) = first_node(facts)?;
    let authority = Authority::new("cilium-etcd")?;
    let (server, client) = (authority.etcd("etcd", &[address])?, authority.client("cilium", None)?);
    let literals = [
        secret(SERVER, ["ca.crt", "server.crt", "server.key"], &authority.cert, &server),
        secret(
            CLIENT,
            ["etcd-client-ca.crt", "etcd-client.crt", "etcd-client.key"],
            &authority.cert,
            &client,
        ),
        pod(node, image, &endpoint(facts)?),
    ];
    let object = |literal| match serde_json::from_value(literal) {
        Ok(object) => object,
        Err(e) => unreachable!("a literal object has kind and name: {e}"),
    };
    Ok(literals.into_iter().map(object).collect())
}

fn first_node(facts: &Facts) -> Result<(&str, &str), PrepareError> {
    let first = facts.nodes.first();
    let (node, address) =
        first.ok_or_else(|| PrepareError::Incomplete("the cluster has no nodes".to_owned()))?;
    Ok((node, address))
}

fn secret(name: &str, keys: [&str; 3], authority: &str, identity: &Identity) -> Value {
    let [ca, cert, key] = keys;
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "Opaque",
        "stringData": {ca: authority, cert: identity.cert, key: identity.key},
    })
}

fn pod(node: &str, image: &str, endpoint: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cilium-etcd", "namespace": NAMESPACE, "labels": {"app": "etcd"}},
        "spec": {
            "nodeName": node,
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "automountServiceAccountToken": false,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": "etcd",
                "image": image,
                "imagePullPolicy": "Never",
                "command": ["etcd"],
                "args": [
                    "--data-dir=/tmp/etcd",
                    "--unsafe-no-fsync",
                    format!("--listen-client-urls={endpoint}"),
                    format!("--advertise-client-urls={endpoint}"),
                    "--listen-peer-urls=http://127.0.0.1:32380",
                    "--client-cert-auth",
                    format!("--trusted-ca-file={CERTIFICATES}/ca.crt"),
                    format!("--cert-file={CERTIFICATES}/server.crt"),
                    format!("--key-file={CERTIFICATES}/server.key"),
                ],
                "volumeMounts": [{"name": "certificates", "mountPath": CERTIFICATES, "readOnly": true}],
            }],
            "volumes": [{"name": "certificates", "secret": {"secretName": SERVER}}],
        },
    })
}
