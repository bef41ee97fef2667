//! Granted traffic as CiliumNetworkPolicy objects.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::{Value, json};

/// Some pods may connect to other pods; all other connections to those are denied.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Labels of the clients.
    pub client: BTreeMap<String, String>,
    /// Labels of the servers.
    pub server: BTreeMap<String, String>,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// Port.
    pub port: u16,
    /// Requests that are allowed; empty when all are.
    pub http: Vec<HttpRule>,
}

/// A request that is allowed.
#[derive(Clone, Debug)]
pub struct HttpRule {
    /// Method.
    pub method: String,
    /// Path, literally.
    pub path: String,
}

/// One policy for each set of servers, in `namespace`, with `labels`.
#[must_use]
pub fn policies(namespace: &str, labels: &BTreeMap<String, String>, grants: &[Grant]) -> Vec<DynamicObject> {
    let mut by_server: BTreeMap<&BTreeMap<String, String>, Vec<&Grant>> = BTreeMap::new();
    for grant in grants {
        by_server.entry(&grant.server).or_default().push(grant);
    }
    (1..)
        .zip(by_server)
        .map(|(number, (server, grants))| {
            let name = format!("seatrial-grants-{number}");
            let ingress: Vec<Value> = grants.into_iter().map(ingress).collect();
            let spec = json!({"endpointSelector": {"matchLabels": server}, "ingress": ingress});
            let mut object = policy(namespace, &name, &spec);
            object.metadata.labels = Some(labels.clone());
            object
        })
        .collect()
}

/// A policy of this name and `spec`, in `namespace`.
#[must_use]
pub fn policy(namespace: &str, name: &str, spec: &Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    match serde_json::from_value(object) {
        Ok(object) => object,
        Err(e) => unreachable!("a literal object has kind and name: {e}"),
    }
}

fn ingress(grant: &Grant) -> Value {
    let mut ports = json!({"ports": [{"port": grant.port.to_string(), "protocol": grant.protocol}]});
    if !grant.http.is_empty() {
        let rules: Vec<Value> = grant
            .http
            .iter()
            .map(|rule| json!({"method": rule.method, "path": literal(&rule.path)}))
            .collect();
        ports["rules"] = json!({"http": rules});
    }
    json!({"fromEndpoints": [{"matchLabels": grant.client}], "toPorts": [ports]})
}

/// A path is a regular expression in a policy.
fn literal(path: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    path.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_of_one_server_are_one_policy() {
        let labels = |value: &str| BTreeMap::from([("app".to_owned(), value.to_owned())]);
        let grant = |port, http| Grant {
            client: labels("client"),
            server: labels("server"),
            protocol: "TCP",
            port,
            http,
        };
        let rule = HttpRule { method: "GET".to_owned(), path: "/a.b".to_owned() };
        let made = policies("ns", &BTreeMap::new(), &[grant(1, vec![]), grant(2, vec![rule])]);
        assert_eq!(made.len(), 1);
        let spec = &made[0].data["spec"];
        assert_eq!(spec["endpointSelector"]["matchLabels"]["app"], "server");
        assert_eq!(spec["ingress"][0]["toPorts"][0]["ports"][0]["port"], "1");
        assert_eq!(spec["ingress"][1]["toPorts"][0]["rules"]["http"][0]["path"], r"/a\.b");
    }
}
