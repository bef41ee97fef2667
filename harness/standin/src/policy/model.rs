//! CiliumNetworkPolicy as it is written.
//!
//! Fields that the stand-in cannot enforce are refused with the whole policy: a policy that is enforced in part would
//! be a hole.

use kube::core::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::selector::Selector;

/// A policy that cannot be imported.
#[derive(Debug, thiserror::Error)]
#[error("cannot import policy {name}")]
pub(crate) struct PolicyError {
    /// `namespace/name` of the policy.
    pub(crate) name: String,
    source: serde_json::Error,
}

/// The rules of one CiliumNetworkPolicy.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Its rules, from `spec` and `specs`.
    pub(crate) rules: Vec<Rule>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) endpoint_selector: Selector,
    #[serde(default)]
    pub(crate) ingress: Vec<Ingress>,
    #[serde(default)]
    pub(crate) egress: Vec<Egress>,
    #[serde(default, rename = "labels")]
    _labels: Value,
    #[serde(default, rename = "description")]
    _description: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Ingress {
    pub(crate) from_endpoints: Option<Vec<Selector>>,
    pub(crate) from_entities: Option<Vec<Entity>>,
    #[serde(rename = "fromCIDR")]
    pub(crate) from_cidr: Option<Vec<String>>,
    #[serde(rename = "fromCIDRSet")]
    pub(crate) from_cidr_set: Option<Vec<CidrRule>>,
    #[serde(default)]
    pub(crate) to_ports: Vec<PortRule>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Egress {
    pub(crate) to_endpoints: Option<Vec<Selector>>,
    pub(crate) to_entities: Option<Vec<Entity>>,
    #[serde(rename = "toCIDR")]
    pub(crate) to_cidr: Option<Vec<String>>,
    #[serde(rename = "toCIDRSet")]
    pub(crate) to_cidr_set: Option<Vec<CidrRule>>,
    /// Names; the agent puts the addresses that it knows for them into `to_cidr_set`.
    #[serde(rename = "toFQDNs")]
    pub(crate) to_fqdns: Option<Vec<NameRule>>,
    #[serde(default)]
    pub(crate) to_ports: Vec<EgressPortRule>,
}

/// Names: one, or all that fit a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NameRule {
    pub(crate) match_name: Option<String>,
    pub(crate) match_pattern: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CidrRule {
    pub(crate) cidr: String,
    #[serde(default)]
    pub(crate) except: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Entity {
    All,
    World,
    Cluster,
    Host,
    RemoteNode,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortRule {
    #[serde(default)]
    pub(crate) ports: Vec<Port>,
    #[serde(default)]
    pub(crate) rules: L7Rules,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EgressPortRule {
    #[serde(default)]
    pub(crate) ports: Vec<Port>,
    #[serde(default)]
    pub(crate) rules: EgressL7Rules,
}

/// L7 rules of a port; names are for UDP only.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EgressL7Rules {
    #[serde(default)]
    pub(crate) dns: Vec<NameRule>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct L7Rules {
    #[serde(default)]
    pub(crate) http: Vec<HttpRule>,
}

/// An HTTP rule; both members are regular expressions for the whole text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpRule {
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Port {
    pub(crate) port: String,
    #[serde(default)]
    pub(crate) protocol: Protocol,
}

/// The protocol of a port rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    #[default]
    Any,
}

impl Policy {
    /// Reads the rules of a CiliumNetworkPolicy object.
    pub(crate) fn from_object(object: &DynamicObject) -> Result<Self, PolicyError> {
        let namespace = object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let name = format!("{namespace}/{}", object.metadata.name.as_deref().unwrap_or_default());
        let read = |rule: &Value| {
            let mut rule = Rule::deserialize(rule)?;
            rule.endpoint_selector = rule.endpoint_selector.in_namespace(&namespace);
            for selectors in rule.ingress.iter_mut().filter_map(|it| it.from_endpoints.as_mut()) {
                bind(selectors, &namespace);
            }
            for selectors in rule.egress.iter_mut().filter_map(|it| it.to_endpoints.as_mut()) {
                bind(selectors, &namespace);
            }
            Ok(rule)
        };
        let specs = object.data.get("specs").and_then(Value::as_array).into_iter().flatten();
        let rules = object.data.get("spec").into_iter().chain(specs).map(read).collect::<Result<_, _>>();
        match rules {
            Ok(rules) => Ok(Self { rules }),
            Err(source) => Err(PolicyError { name, source }),
        }
    }

    /// Reads rules as `cilium policy import` takes them: a list, bound to no namespace.
    pub(crate) fn from_rules(rules: &Value) -> Result<Self, PolicyError> {
        let read = Vec::<Rule>::deserialize(rules);
        read.map(|rules| Self { rules })
            .map_err(|source| PolicyError { name: "of the command".into(), source })
    }
}

fn bind(selectors: &mut [Selector], namespace: &str) {
    for selector in selectors {
        *selector = std::mem::take(selector).in_namespace(namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn read(spec: Value) -> Result<Policy, PolicyError> {
        let object = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec});
        Policy::from_object(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn reads_every_supported_field() {
        let policy = read(json!({
            "description": "web", "labels": [{"key": "name", "value": "p"}],
            "endpointSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{
                "fromEndpoints": [{}], "fromEntities": ["world", "remote-node"], "fromCIDR": ["10.0.0.0/8"],
                "fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.96.0.0/12"]}],
                "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}],
                             "rules": {"http": [{"method": "GET", "path": "/public"}]}}],
            }],
            "egress": [
                {"toEntities": ["all"], "toPorts": [{"ports": [{"port": "53"}]}]},
                {"toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{"matchPattern": "*"}]}}]},
                {"toFQDNs": [{"matchName": "a.b"}, {"matchPattern": "*.b"}]},
            ],
        }))
        .unwrap();
        assert_eq!(policy.rules.len(), 1);
        let again = serde_json::to_value(&policy.rules).unwrap();
        assert!(Policy::from_rules(&again).is_ok(), "{again}");
        assert_eq!(policy.rules[0].egress[0].to_ports[0].ports[0].protocol, Protocol::Any);
    }

    #[rstest]
    #[case::names_by_something_else(json!({"endpointSelector": {}, "egress": [{"toFQDNs": [{"matchSuffix": "a.b"}]}]}))]
    #[case::http_headers(json!({"endpointSelector": {}, "ingress": [
        {"toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{"headers": ["X-A: b"]}]}}]}]}))]
    #[case::http_on_egress(json!({"endpointSelector": {}, "egress": [
        {"toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{"path": "/"}]}}]}]}))]
    #[case::no_selector(json!({"ingress": []}))]
    fn refuses_what_it_cannot_enforce(#[case] spec: Value) {
        let error = read(spec).unwrap_err();
        assert_eq!(error.name, "shop/p");
    }
}
