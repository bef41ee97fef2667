//! What is known of an existing cluster before anything is created in it.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};

use super::{Purpose, rights};
use crate::exit::Usage;

/// What was found in an existing cluster.
#[derive(Clone, Debug)]
pub struct Found {
    /// Kubernetes version.
    pub kubernetes: String,
    /// The nodes that get probes.
    pub nodes: Vec<String>,
    /// Whether it has CiliumNetworkPolicy.
    pub policies: bool,
    /// Address and port of the API server, without any Service translation.
    pub api: (String, u16),
}

impl Found {
    /// Reads the cluster and the rights of this user; changes nothing.
    pub(super) async fn find(client: &kube::Client, most: usize, purpose: Purpose) -> anyhow::Result<Self> {
        let version = client.apiserver_version().await.context("the API server does not respond")?;
        let policies = knows_policies(client).await?;
        let lacking = rights::lacking(client, policies, purpose).await;
        let lacking = lacking.context("the API server does not report what is allowed")?;
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            let remedy = match purpose {
                Purpose::Watch => "`seatrial watch --rbac` prints the role that it needs",
                Purpose::Upgrade => "it needs cluster-admin, since charts grant roles",
            };
            return Err(Usage(format!("this user may not {lacking}; {remedy}")).into());
        }
        let api: Api<Node> = Api::all(client.clone());
        let all = api.list(&ListParams::default()).await.context("the nodes could not be listed")?;
        let nodes = suitable(&all.items, most);
        if nodes.is_empty() {
            let names: Vec<_> = all.iter().map(Node::name_any).collect();
            let remedy = format!("probes need Linux on {}, Ready and not cordoned", architecture());
            return Err(Usage(format!("no node can have probes, of {}: {remedy}", names.join(", "))).into());
        }
        Ok(Self { kubernetes: version.git_version, nodes, policies, api: api_server(client).await? })
    }
}

/// The first address of the Service `kubernetes`.
async fn api_server(client: &kube::Client) -> anyhow::Result<(String, u16)> {
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let of_it = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    let slices = api.list(&of_it).await.context("the endpoints of the API server could not be listed")?;
    let first = slices.into_iter().find_map(|slice| {
        let address = slice.endpoints.into_iter().flat_map(|endpoint| endpoint.addresses).next()?;
        let port = slice.ports?.into_iter().find_map(|port| u16::try_from(port.port?).ok())?;
        Some((address, port))
    });
    first.context("the Service kubernetes has no endpoints")
}

/// The names of the first nodes that can run this program's own image.
fn suitable(nodes: &[Node], most: usize) -> Vec<String> {
    let fits = |node: &&Node| {
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ready = conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True");
        let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
        let same = info.is_some_and(|it| it.operating_system == "linux" && it.architecture == architecture());
        ready && !cordoned && same
    };
    let mut names: Vec<_> = nodes.iter().filter(fits).map(Node::name_any).collect();
    names.sort();
    names.truncate(most);
    names
}

/// This machine's, in Kubernetes' words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A cluster without the custom resource says that it does not know the path.
async fn knows_policies(client: &kube::Client) -> anyhow::Result<bool> {
    let (group, version, kind) = subject::cilium::POLICY;
    let policy = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &policy);
    match api.list(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        // Whether this user may read them is asked with the other rights.
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(true),
        Err(e) => Err(e).context("the policies could not be listed"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn probes_go_where_their_image_runs_and_pods_may_be_made() {
        let node = |name: &str, os: &str, architecture: &str, ready: &str, cordoned: bool| -> Node {
            let node = json!({"metadata": {"name": name}, "spec": {"unschedulable": cordoned}, "status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "nodeInfo": {"operatingSystem": os, "architecture": architecture, "bootID": "", "machineID": "",
                    "systemUUID": "", "kernelVersion": "", "osImage": "", "containerRuntimeVersion": "",
                    "kubeletVersion": "", "kubeProxyVersion": ""}}});
            serde_json::from_value(node).unwrap()
        };
        let nodes = [
            node("d", "linux", architecture(), "True", false),
            node("c", "linux", architecture(), "True", true),
            node("b", "linux", architecture(), "Unknown", false),
            node("a", "windows", architecture(), "True", false),
            node("e", "linux", "s390x", "True", false),
            node("f", "linux", architecture(), "True", false),
        ];
        assert_eq!(suitable(&nodes, 3), ["d", "f"]);
        assert_eq!(suitable(&nodes, 1), ["d"]);
    }
}
