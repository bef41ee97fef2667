//! The configuration of a node's containerd and kubelet, as text.

use std::path::PathBuf;

use serde_json::json;

use super::spec::{API_PORT, CONTROL_PLANE, NodeSpec, NodeStart};
use crate::dns;
use crate::request::Cni;

pub(super) const CONTAINERD_CONFIG: &str = "/run/seatrial/containerd.toml";
pub(super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
const KUBELET_CONFIG: &str = "/run/seatrial/kubelet.json";
const KUBECONFIG: &str = "/run/seatrial/kubelet.kubeconfig";
/// The folder in which containerd looks up registries.
const REGISTRIES: &str = "/run/seatrial/registries";
/// A registry that refuses connections; containerd 1.6 ignores a file without a `host`.
const NO_REGISTRY: &str = "server = \"http://127.0.0.1:1\"\n\n[host.\"http://127.0.0.1:1\"]\n";
const RESOLV_CONF: &str = "/run/seatrial/resolv.conf";

/// Address of the node at position `index`, from 1.
pub(crate) fn address(index: u8) -> String {
    format!("10.250.0.{}", 10 + index)
}

/// Its IPv6 address, in a dual-stack cluster.
pub(crate) fn ipv6_address(index: u8) -> String {
    format!("fd00:10:250::{}", 10 + index)
}

/// Pod ranges of a node when pods are on a plain bridge, IPv4 and IPv6.
pub(super) fn bridge_subnets(index: u8) -> [String; 2] {
    [format!("10.244.{index}.0/24"), format!("fd00:10:244:{index}::/64")]
}

pub(super) fn kubelet_args(node: &NodeSpec) -> Vec<String> {
    vec![
        format!("--config={KUBELET_CONFIG}"),
        format!("--kubeconfig={KUBECONFIG}"),
        format!("--hostname-override={}", node.name),
        format!("--node-ip={}", addresses(node)),
        "--root-dir=/var/lib/kubelet".to_owned(),
        "--cert-dir=/var/lib/kubelet/pki".to_owned(),
    ]
}

/// All addresses of a node, separated by commas.
fn addresses(node: &NodeSpec) -> String {
    std::iter::once(&node.address).chain(&node.ipv6).map(String::as_str).collect::<Vec<_>>().join(",")
}

/// All files that a node needs, with their paths inside the node.
pub(super) fn files(start: &NodeStart) -> Vec<(PathBuf, String)> {
    let server = format!("https://{CONTROL_PLANE}:{API_PORT}");
    let kubeconfig = crate::pki::kubeconfig("node", &server, &start.ca, &start.node.client);
    let mut files = vec![
        (CONTAINERD_CONFIG.into(), containerd(start)),
        (KUBELET_CONFIG.into(), kubelet()),
        (KUBECONFIG.into(), kubeconfig),
        ("/run/seatrial/ca.crt".into(), start.ca.clone()),
        ("/run/seatrial/kubelet.crt".into(), start.node.server.cert.clone()),
        ("/run/seatrial/kubelet.key".into(), start.node.server.key.clone()),
        // An image that was not loaded cannot be pulled: the pull is refused at once and sends nothing out of the sandbox.
        (format!("{REGISTRIES}/_default/hosts.toml").into(), NO_REGISTRY.to_owned()),
        (RESOLV_CONF.into(), "options timeout:1 attempts:1\n".to_owned()),
    ];
    if start.cni == Cni::Bridge {
        let [ipv4, ipv6] = bridge_subnets(start.index);
        let subnets = &[ipv4, ipv6][..if start.node.ipv6.is_some() { 2 } else { 1 }];
        files.push(("/etc/cni/net.d/10-bridge.conflist".into(), bridge(subnets)));
    }
    files
}

fn containerd(start: &NodeStart) -> String {
    let pause = &start.pause_image;
    // restrict_oom_score_adj: without it runc fails on a machine that lacks CAP_SYS_RESOURCE.
    format!(
        r#"version = 2
root = "/run/seatrial/containerd"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
disable_apparmor = true
restrict_oom_score_adj = true
tolerate_missing_hugetlb_controller = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{REGISTRIES}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#
    )
}

fn kubelet() -> String {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": "/run/seatrial/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/run/seatrial/kubelet.crt",
        "tlsPrivateKeyFile": "/run/seatrial/kubelet.key",
        "clusterDomain": "cluster.local",
        "clusterDNS": [dns::ADDRESS],
        "resolvConf": RESOLV_CONF,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "failCgroupV1": false,
        "localStorageCapacityIsolation": false,
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "makeIPTablesUtilChains": false,
        "containerLogMaxSize": "512Mi",
        "logging": {"flushFrequency": 0},
    });
    format!("{config:#}\n")
}

/// A plain bridge for pods of one family, or of both.
fn bridge(subnets: &[String]) -> String {
    let ranges: Vec<_> = subnets.iter().map(|subnet| json!([{"subnet": subnet}])).collect();
    let everywhere = |subnet: &String| if subnet.contains(':') { "::/0" } else { "0.0.0.0/0" };
    let routes: Vec<_> = subnets.iter().map(|subnet| json!({"dst": everywhere(subnet)})).collect();
    let config = json!({
        "cniVersion": "1.0.0",
        "name": "bridge",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipam": {"type": "host-local", "ranges": ranges, "routes": routes},
        }, {"type": "portmap", "capabilities": {"portMappings": true}}],
    });
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[rstest]
    #[case::one_family(1, &["0.0.0.0/0"])]
    #[case::both(2, &["0.0.0.0/0", "::/0"])]
    fn pods_on_a_bridge_get_an_address_and_a_default_route_of_each_family(
        #[case] families: usize,
        #[case] out: &[&str],
    ) {
        let config: Value = serde_json::from_str(&bridge(&bridge_subnets(3)[..families])).unwrap();
        let ipam = &config["plugins"][0]["ipam"];
        let ranges = [json!([{"subnet": "10.244.3.0/24"}]), json!([{"subnet": "fd00:10:244:3::/64"}])];
        assert_eq!(ipam["ranges"], json!(ranges[..families]));
        let routes: Vec<_> = out.iter().map(|out| json!({"dst": out})).collect();
        assert_eq!(ipam["routes"], json!(routes));
    }
}
