//! The etcd beside the stand-in that holds its identities: one pod on the first node's own address, which speaks TLS and
//! asks its clients for a certificate, as in the guide's example.
//!
//! Source: Cilium 1.6 upgrade guide, `etcd-config` of the ConfigMap example, and the Secret that it names.

use anyhow::Context as _;
use cluster::pki::{Authority, Identity};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::subjects::Facts;

const PORT: u16 = 32_379;
/// The Secret that agents mount.
const CLIENT: &str = "cilium-etcd-secrets";
/// The Secret of etcd itself.
const SERVER: &str = "cilium-etcd-server";
/// Where etcd finds the latter.
const CERTIFICATES: &str = "/etc/etcd";

/// Where it listens.
pub(super) fn endpoint(facts: &Facts) -> anyhow::Result<String> {
    let (_, address) = first_node(facts)?;
    Ok(format!("https://{address}:{PORT}"))
}

/// Its pod, and the certificates of both sides, which are made anew each time.
pub(super) fn objects(facts: &Facts, image: &str) -> anyhow::Result<Vec<DynamicObject>> {
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
    literals.into_iter().map(|object| Ok(serde_json::from_value(object)?)).collect()
}

fn first_node(facts: &Facts) -> anyhow::Result<(&str, &str)> {
    let (node, address) = facts.nodes.first().context("the cluster has no nodes")?;
    Ok((node, address))
}

fn secret(name: &str, keys: [&str; 3], authority: &str, identity: &Identity) -> Value {
    let [ca, cert, key] = keys;
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": subject::NAMESPACE},
        "type": "Opaque",
        "stringData": {ca: authority, cert: identity.cert, key: identity.key},
    })
}

fn pod(node: &str, image: &str, endpoint: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cilium-etcd", "namespace": subject::NAMESPACE, "labels": {"app": "etcd"}},
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
