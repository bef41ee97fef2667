//! Finds policies in a document, and the features that they use.

use ipnet::IpNet;

use super::cidr::{Family, parse_cidr, resultant};
use super::{Feature, Policy, Prefix, Rule};
use crate::yaml::{Node, Position};

/// Reads the policies of one document: a Cilium or Kubernetes policy, a list of them, or the old JSON form.
pub fn read(document: &Node) -> Vec<Policy> {
    match document.get("kind").and_then(Node::text) {
        Some("CiliumNetworkPolicy") => vec![cilium_policy(document, false)],
        Some("CiliumClusterwideNetworkPolicy") => vec![cilium_policy(document, true)],
        Some("NetworkPolicy") => vec![kubernetes_policy(document)],
        Some(_) => document.get("items").map_or(&[][..], Node::items).iter().flat_map(read).collect(),
        None => document.items().iter().filter(|item| is_rule(item)).map(json_rule).collect(),
    }
}

fn is_rule(node: &Node) -> bool {
    node.get("endpointSelector").is_some() || node.get("nodeSelector").is_some()
}

fn cilium_policy(object: &Node, cluster_wide: bool) -> Policy {
    let specs = object.get("specs").map_or(&[][..], Node::items);
    let mut rules: Vec<_> = object.get("spec").into_iter().chain(specs).map(cilium_rule).collect();
    if let Some(rule) = rules.first_mut().filter(|_| cluster_wide) {
        rule.uses.insert(0, (Feature::ClusterWide, object.position));
    }
    Policy { name: object_name(object), position: object.position, rules }
}

/// A rule in the form that `cilium policy import` reads; its labels are its name.
fn json_rule(node: &Node) -> Policy {
    let labels = node.get("labels").map_or(&[][..], Node::items).iter();
    let values: Vec<_> = labels.filter_map(|label| label.get("value").unwrap_or(label).text()).collect();
    let name = if values.is_empty() { "unnamed rule".to_owned() } else { values.join(",") };
    Policy { name, position: node.position, rules: vec![cilium_rule(node)] }
}

fn object_name(object: &Node) -> String {
    let metadata = |key| object.get("metadata")?.get(key)?.text();
    match (metadata("namespace"), metadata("name")) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        (None, Some(name)) => name.to_owned(),
        _ => "unnamed policy".to_owned(),
    }
}

fn cilium_rule(spec: &Node) -> Rule {
    let selector = spec.get("endpointSelector").or_else(|| spec.get("nodeSelector")).cloned();
    let mut reader = Reader { rule: Rule { selector, ..Rule::default() }, list: 0 };
    if let Some(selector) = &reader.rule.selector.clone() {
        reader.labels(selector);
    }
    fields(spec, "", &mut reader.rule.fields);
    for (field, side, egress, deny) in [
        ("ingress", "from", false, false),
        ("ingressDeny", "from", false, true),
        ("egress", "to", true, false),
        ("egressDeny", "to", true, true),
    ] {
        let Some(direction) = spec.get(field) else { continue };
        if !egress {
            reader.uses(Feature::Ingress, direction.position);
        }
        if deny {
            reader.uses(Feature::Deny, direction.position);
        }
        for item in direction.items() {
            reader.peers(item, side, egress);
        }
    }
    reader.rule
}

/// Collects the fields of a rule; labels are the user's own keys, not fields.
fn fields(node: &Node, path: &str, found: &mut Vec<(String, Position)>) {
    for item in node.items() {
        match item.text() {
            Some(value) if path.ends_with("Entities") => {
                found.push((format!("{path}={value}"), item.position));
            }
            _ => fields(item, path, found),
        }
    }
    for entry in node.entries().iter().filter(|entry| !matches!(entry.key.as_str(), "matchLabels" | "labels"))
    {
        let inner = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        if let Some(value) = entry.value.text().filter(|_| entry.key == "protocol") {
            found.push((format!("{inner}={value}"), entry.position));
        }
        fields(&entry.value, &inner, found);
        found.push((inner, entry.position));
    }
}

fn kubernetes_policy(object: &Node) -> Policy {
    let Some(spec) = object.get("spec") else {
        return Policy { name: object_name(object), position: object.position, rules: Vec::new() };
    };
    let selector = spec.get("podSelector").cloned();
    let mut reader = Reader { rule: Rule { selector, ..Rule::default() }, list: 0 };
    for (field, side, egress) in [("ingress", "from", false), ("egress", "to", true)] {
        for item in spec.get(field).map_or(&[][..], Node::items) {
            let blocks = item.get(side).map_or(&[][..], Node::items).iter();
            for block in blocks.filter_map(|peer| peer.get("ipBlock")) {
                reader.cidr_set(block, egress);
                reader.ports_with(block, item.get("ports"));
            }
            reader.list += 1;
        }
    }
    Policy { name: object_name(object), position: object.position, rules: vec![reader.rule] }
}

struct Reader {
    rule: Rule,
    list: usize,
}

impl Reader {
    fn uses(&mut self, feature: Feature, position: Position) {
        self.rule.uses.push((feature, position));
    }

    fn peers(&mut self, item: &Node, side: &str, egress: bool) {
        let field = |name: &str| item.get(&format!("{side}{name}"));
        for cidr in field("CIDR").map_or(&[][..], Node::items) {
            self.cidr(cidr, &[], egress);
            self.ports_with(cidr, item.get("toPorts"));
        }
        for set in field("CIDRSet").map_or(&[][..], Node::items) {
            self.cidr_set(set, egress);
            self.ports_with(set, item.get("toPorts"));
        }
        for fqdn in field("FQDNs").map_or(&[][..], Node::items) {
            let named = fqdn.get("matchName").map(|name| (Feature::FqdnName, name));
            let pattern = fqdn.get("matchPattern").map(|pattern| (Feature::FqdnPattern, pattern));
            for (feature, node) in named.into_iter().chain(pattern) {
                self.uses(feature, node.position);
            }
        }
        for entity in field("Entities").map_or(&[][..], Node::items) {
            match entity.text() {
                Some("host") => self.uses(Feature::EntityHost, entity.position),
                Some("world" | "all") => self.uses(Feature::EntityWorld, entity.position),
                Some("remote-node") => self.uses(Feature::EntityRemoteNode, entity.position),
                _ => {}
            }
        }
        for name in ["Endpoints", "Requires"] {
            for selector in field(name).map_or(&[][..], Node::items) {
                self.labels(selector);
            }
        }
        for ports in item.get("toPorts").map_or(&[][..], Node::items) {
            self.l7(ports);
        }
        self.list += 1;
    }

    fn l7(&mut self, ports: &Node) {
        for entry in ports.get("rules").map_or(&[][..], Node::entries) {
            self.uses(Feature::L7Rules, entry.position);
            if entry.key == "dns" {
                self.uses(Feature::DnsRules, entry.position);
            }
        }
    }

    /// Finds labels of the container runtime in a selector.
    fn labels(&mut self, selector: &Node) {
        for entry in selector.get("matchLabels").map_or(&[][..], Node::entries) {
            if is_container_label(&entry.key) {
                self.uses(Feature::ContainerLabel, entry.position);
            }
        }
        for expression in selector.get("matchExpressions").map_or(&[][..], Node::items) {
            if let Some(key) = expression.get("key").filter(|key| key.text().is_some_and(is_container_label))
            {
                self.uses(Feature::ContainerLabel, key.position);
            }
        }
    }

    fn ports_with(&mut self, cidr: &Node, ports: Option<&Node>) {
        if ports.is_some_and(|ports| !ports.items().is_empty()) {
            self.uses(Feature::CidrWithPorts, cidr.position);
        }
    }

    fn cidr_set(&mut self, set: &Node, egress: bool) {
        match set.get("cidr") {
            Some(cidr) => self.cidr(cidr, set.get("except").map_or(&[][..], Node::items), egress),
            None => self.invalid(set, "a CIDR set needs the field cidr".to_owned()),
        }
    }

    fn cidr(&mut self, node: &Node, except: &[Node], egress: bool) {
        let Some(cidr) = self.parse(node) else { return };
        let mut holes = Vec::new();
        for hole in except {
            match self.parse(hole) {
                Some(parsed) if !cidr.contains(&parsed) => {
                    self.invalid(hole, format!("the exception {parsed} is not inside {cidr}"));
                }
                Some(parsed) => holes.push(parsed),
                None => {}
            }
        }
        if cidr.prefix_len() == 0 {
            self.uses(Feature::CidrZero, node.position);
        }
        if Family::of(&cidr) == Family::V6 {
            self.uses(Feature::CidrIpv6, node.position);
        }
        let cidrs = resultant(cidr, &holes);
        self.rule.prefixes.push(Prefix { position: node.position, list: self.list, egress, cidrs });
    }

    fn parse(&mut self, node: &Node) -> Option<IpNet> {
        match parse_cidr(node.text().unwrap_or_default()) {
            Ok(cidr) => Some(cidr),
            Err(error) => {
                self.invalid(node, error.to_string());
                None
            }
        }
    }

    fn invalid(&mut self, node: &Node, message: String) {
        self.rule.invalid.push((node.position, message));
    }
}

fn is_container_label(key: &str) -> bool {
    key.starts_with("container:") || key.starts_with("container.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;
    use rstest::rstest;

    fn features(rule: &str) -> Vec<Feature> {
        let text = format!("kind: CiliumNetworkPolicy\nspec:\n  endpointSelector: {{}}\n{rule}");
        read(&yaml::documents(&text).unwrap()[0])[0].features().into_iter().collect()
    }

    #[rstest]
    #[case::zero("  egress: [{toCIDR: [0.0.0.0/0]}]", &[Feature::CidrZero])]
    #[case::ports("  egress: [{toCIDR: [10.0.0.0/8], toPorts: [{ports: [{port: \"80\"}]}]}]", &[Feature::CidrWithPorts])]
    #[case::v6("  egress: [{toCIDRSet: [{cidr: \"fd00::/8\"}]}]", &[Feature::CidrIpv6])]
    #[case::fqdn("  egress: [{toFQDNs: [{matchName: a.b}, {matchPattern: \"*\"}]}]", &[Feature::FqdnName, Feature::FqdnPattern])]
    #[case::dns("  egress: [{toPorts: [{rules: {dns: [{matchPattern: \"*\"}]}}]}]", &[Feature::DnsRules, Feature::L7Rules])]
    #[case::container("  egress: [{toEndpoints: [{matchLabels: {\"container:app\": x}}]}]", &[Feature::ContainerLabel])]
    #[case::host("  ingress: [{fromEntities: [host]}]", &[Feature::EntityHost, Feature::Ingress])]
    #[case::deny("  egressDeny: [{toEntities: [world]}]", &[Feature::EntityWorld, Feature::Deny])]
    fn finds_features(#[case] rule: &str, #[case] expected: &[Feature]) {
        assert_eq!(features(rule), expected);
    }

    #[test]
    fn reads_the_json_form_lists_and_kubernetes_policies() {
        let json = r#"[{"labels": [{"key": "name", "value": "a"}], "endpointSelector": {}, "egress": [{"toCIDR": ["1.1.1.1"]}]}]"#;
        let policies = read(&yaml::documents(json).unwrap()[0]);
        assert_eq!((policies[0].name.as_str(), policies[0].rules[0].prefixes.len()), ("a", 1));
        let list = "kind: List\nitems:\n- kind: NetworkPolicy\n  metadata: {name: b, namespace: c}\n  spec:\n    ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]\n";
        let policies = read(&yaml::documents(list).unwrap()[0]);
        assert_eq!((policies[0].name.as_str(), policies[0].rules[0].prefixes[0].cidrs.len()), ("c/b", 8));
    }

    #[test]
    fn reports_invalid_cidrs() {
        let text = "kind: CiliumNetworkPolicy\nspec:\n  egress:\n  - toCIDRSet:\n    - cidr: 10.0.0.0/8\n      except: [11.0.0.0/8, x]\n";
        let rule = &read(&yaml::documents(text).unwrap()[0])[0].rules[0];
        let messages: Vec<_> = rule.invalid.iter().map(|(at, message)| format!("{at}: {message}")).collect();
        let expected = [
            "6:16: the exception 11.0.0.0/8 is not inside 10.0.0.0/8",
            "6:28: \"x\" is not a CIDR: write 10.0.0.0/8 or fd00::/8",
        ];
        assert_eq!(messages, expected);
    }
}
