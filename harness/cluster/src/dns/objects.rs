//! The objects that run the server: names and labels as in every cluster.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{ADDRESS, NAME, PORT, ROLE};

/// Objects to apply, in order; `image` holds the role.
#[must_use]
pub fn objects(image: &str) -> Vec<DynamicObject> {
    let labels = json!({"k8s-app": NAME});
    let account = json!({"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME});
    let watch = ["list", "watch"];
    let rules = json!([
        {"apiGroups": [""], "resources": ["services"], "verbs": watch},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch},
    ]);
    let ports = |target: bool| -> Vec<Value> {
        let port = |name: &str, protocol: &str| match target {
            true => json!({"name": name, "containerPort": PORT, "protocol": protocol}),
            false => json!({"name": name, "port": PORT, "protocol": protocol}),
        };
        vec![port("dns", "UDP"), port("dns-tcp", "TCP")]
    };
    let pod = json!({
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 1,
        "dnsPolicy": "Default",
        "tolerations": [{"operator": "Exists"}],
        "containers": [{
            "name": "dns",
            "image": image,
            "imagePullPolicy": "Never",
            "command": [ROLE],
            "ports": ports(true),
            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        }],
    });
    let meta = json!({"name": NAME, "namespace": "kube-system", "labels": labels});
    let rbac = "rbac.authorization.k8s.io/v1";
    let all = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": rules}),
        json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": NAME},
               "roleRef": role, "subjects": [account]}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta,
               "spec": {"clusterIP": ADDRESS, "selector": labels, "ports": ports(false)}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
               "spec": {"replicas": 1, "selector": {"matchLabels": labels},
                        "template": {"metadata": {"labels": labels}, "spec": pod}}}),
    ];
    let typed = |object| match serde_json::from_value(object) {
        Ok(object) => object,
        Err(e) => unreachable!("a literal object has kind and name: {e}"),
    };
    all.into_iter().map(typed).collect()
}
