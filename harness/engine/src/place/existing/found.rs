//! What is known of an existing cluster before anything is created in it.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use probe::deploy::is_tolerated;

use super::{Purpose, rights};
use crate::exit::Usage;

/// What was found in an existing cluster.
#[derive(Clone, Debug)]
pub struct Found {
    /// UID of the namespace `kube-system`, which identifies the cluster whatever its context is called.
    pub uid: String,
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
            let remedy = format!(
                "probes need Linux on {}, Ready and not cordoned, with an InternalIP and without a NoExecute taint",
                architecture()
            );
            return Err(Usage(format!("no node can have probes, of {}: {remedy}", names.join(", "))).into());
        }
        let (uid, api) = (uid(client).await?, api_server(client).await?);
        Ok(Self { uid, kubernetes: version.git_version, nodes, policies, api })
    }
}

async fn uid(client: &kube::Client) -> anyhow::Result<String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let namespace = api.get("kube-system").await.context("the namespace kube-system could not be read")?;
    namespace.metadata.uid.context("the namespace kube-system has no UID")
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
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        let internal = addresses.into_iter().any(|it| it.type_ == "InternalIP");
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let ends_pods = taints.into_iter().any(|it| it.effect == "NoExecute" && !is_tolerated(&it.key));
        ready && !cordoned && same && internal && !ends_pods
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
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, os: &str, architecture: &str, ready: &str, cordoned: bool) -> Value {
        json!({"metadata": {"name": name}, "spec": {"unschedulable": cordoned}, "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": ready}],
            "nodeInfo": {"operatingSystem": os, "architecture": architecture, "bootID": "", "machineID": "",
                "systemUUID": "", "kernelVersion": "", "osImage": "", "containerRuntimeVersion": "",
                "kubeletVersion": "", "kubeProxyVersion": ""}}})
    }

    fn nodes<const N: usize>(nodes: [Value; N]) -> [Node; N] {
        nodes.map(|node| serde_json::from_value(node).unwrap())
    }

    #[test]
    fn probes_go_where_their_image_runs_and_pods_may_be_made() {
        let nodes = nodes([
            node("d", "linux", architecture(), "True", false),
            node("c", "linux", architecture(), "True", true),
            node("b", "linux", architecture(), "Unknown", false),
            node("a", "windows", architecture(), "True", false),
            node("e", "linux", "s390x", "True", false),
            node("f", "linux", architecture(), "True", false),
        ]);
        assert_eq!(suitable(&nodes, 3), ["d", "f"]);
        assert_eq!(suitable(&nodes, 1), ["d"]);
    }

    #[rstest]
    #[case::dedicated("gpu", "NoExecute", false)]
    #[case::pods_are_not_scheduled("node-role.kubernetes.io/control-plane", "NoSchedule", true)]
    #[case::tolerated("node.kubernetes.io/not-ready", "NoExecute", true)]
    fn probes_keep_off_nodes_that_would_end_them(
        #[case] key: &str,
        #[case] effect: &str,
        #[case] probed: bool,
    ) {
        let mut node = node("a", "linux", architecture(), "True", false);
        node["spec"]["taints"] = json!([{"key": key, "effect": effect}]);
        assert_eq!(!suitable(&nodes([node]), 1).is_empty(), probed);
    }

    /// Servers on the network of a node listen on its InternalIP alone.
    #[test]
    fn probes_keep_off_nodes_without_an_internal_ip() {
        let mut node = node("a", "linux", architecture(), "True", false);
        node["status"]["addresses"][0]["type"] = json!("ExternalIP");
        assert_eq!(suitable(&nodes([node]), 1), [""; 0]);
    }
}
