//! Finds and reads the ConfigMap of Cilium in a file.

use std::collections::BTreeMap;

use crate::yaml::{self, Entry, Node, Position, Style, Value, YamlError};

/// The name of Cilium's ConfigMap.
pub(crate) const NAME: &str = "cilium-config";

/// Cilium's ConfigMap inside a text: a manifest, an export, a `List` or one of several documents.
#[derive(Clone, Debug)]
pub struct ConfigMap {
    documents: Vec<Node>,
    place: Place,
}

/// The position of a ConfigMap: a document, or an item of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    document: usize,
    item: Option<usize>,
}

impl ConfigMap {
    /// Finds the ConfigMap `cilium-config`, or the only ConfigMap of the text.
    ///
    /// # Errors
    /// Fails with the position when the YAML is invalid, when the ConfigMap is ambiguous, and when a value
    /// is not a string, because Kubernetes would reject it.
    pub fn read(text: &str) -> Result<Self, YamlError> {
        let documents = yaml::documents(text)?;
        let place = find(&documents)?;
        let config = Self { documents, place };
        let data = config.data_node()?;
        for entry in data.entries() {
            check_string(entry)?;
        }
        Ok(config)
    }

    /// Returns the ConfigMap object.
    pub fn object(&self) -> &Node {
        at(&self.documents, self.place)
    }

    /// Returns the name, if the file has one.
    pub fn name(&self) -> Option<&str> {
        name(self.object())
    }

    /// Returns the namespace, if the file names one.
    pub fn namespace(&self) -> Option<&str> {
        self.object().get("metadata")?.get("namespace")?.text()
    }

    /// Returns the entries of `data`, in file order.
    pub fn entries(&self) -> &[Entry] {
        self.object().get("data").map_or(&[], Node::entries)
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.object().get("data")?.get(key)?.text()
    }

    /// Returns all keys and values.
    pub fn data(&self) -> BTreeMap<&str, &str> {
        self.entries().iter().filter_map(|entry| Some((entry.key.as_str(), entry.value.text()?))).collect()
    }

    /// Returns the entry `data` itself.
    pub(crate) fn data_entry(&self) -> Option<&Entry> {
        self.object().entries().iter().find(|entry| entry.key == "data")
    }

    /// Returns every other object, and this ConfigMap without its data and metadata.
    pub(crate) fn surroundings(&self) -> Vec<(usize, Option<usize>, Vec<&Entry>)> {
        let places = self.documents.iter().enumerate().flat_map(|(document, node)| {
            let items = node.get("items").map_or(&[][..], Node::items);
            let inner = (0..items.len()).map(move |item| Place { document, item: Some(item) });
            std::iter::once(Place { document, item: None }).chain(inner)
        });
        places
            .map(|place| {
                let entries = at(&self.documents, place).entries().iter();
                let kept = entries.filter(|entry| match entry.key.as_str() {
                    "items" => false,
                    "data" | "metadata" => place != self.place,
                    _ => true,
                });
                (place.document, place.item, kept.collect())
            })
            .collect()
    }

    fn data_node(&self) -> Result<&Node, YamlError> {
        let object = self.object();
        let data = object.get("data").filter(|data| !data.entries().is_empty());
        let data = data.ok_or_else(|| {
            YamlError::at(
                object.position,
                format!("the ConfigMap has no data: give a manifest or an export of {NAME}"),
            )
        })?;
        match data.value {
            Value::Mapping { flow: true, .. } => Err(YamlError::at(
                data.position,
                "data is written with braces (JSON): export it with `kubectl get configmap -o yaml`",
            )),
            _ => Ok(data),
        }
    }
}

fn at(documents: &[Node], place: Place) -> &Node {
    let document = &documents[place.document];
    match place.item {
        None => document,
        Some(item) => document.get("items").map_or(document, |items| &items.items()[item]),
    }
}

fn find(documents: &[Node]) -> Result<Place, YamlError> {
    let mut all = Vec::new();
    for (document, node) in documents.iter().enumerate() {
        let items = node.get("items").map_or(&[][..], Node::items);
        let inner = items.iter().enumerate().map(|(item, node)| (Place { document, item: Some(item) }, node));
        let here = std::iter::once((Place { document, item: None }, node));
        all.extend(here.chain(inner).filter(|(_, node)| is_config_map(node)));
    }
    let named: Vec<_> = all.iter().filter(|(_, node)| name(node) == Some(NAME)).collect();
    match (named.as_slice(), all.as_slice()) {
        ([(place, _)], _) | ([], [(place, _)]) => Ok(*place),
        ([_, (_, second), ..], _) => {
            Err(YamlError::at(second.position, format!("a second ConfigMap {NAME}: keep one of them")))
        }
        ([], []) => Err(YamlError::at(
            documents.first().map_or(Position { line: 1, column: 1 }, |node| node.position),
            format!("the file has no ConfigMap: give a manifest or an export of {NAME}"),
        )),
        ([], [_, (_, second), ..]) => Err(YamlError::at(
            second.position,
            format!("the file has several ConfigMaps, and none is named {NAME}"),
        )),
    }
}

fn is_config_map(node: &Node) -> bool {
    node.get("kind").and_then(Node::text) == Some("ConfigMap")
}

fn name(node: &Node) -> Option<&str> {
    node.get("metadata")?.get("name")?.text()
}

fn check_string(entry: &Entry) -> Result<(), YamlError> {
    let kind = match &entry.value.value {
        Value::Scalar { style: Style::Plain, text, string_tag: false } => plain_type(text),
        Value::Scalar { .. } => None,
        Value::Sequence(_) => Some("a list"),
        Value::Mapping { .. } => Some("a mapping"),
    };
    let Some(kind) = kind else { return Ok(()) };
    let message =
        format!("the value of {} is {kind}, and Kubernetes accepts only strings: quote it", entry.key);
    Err(YamlError::at(entry.value.position, message))
}

/// Returns the type of an unquoted scalar that a YAML 1.1 or 1.2 reader does not read as a string.
pub(crate) fn plain_type(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "" | "~" | "null" => return Some("null"),
        "y" | "yes" | "n" | "no" | "true" | "false" | "on" | "off" => return Some("a boolean"),
        _ => {}
    }
    let digits: String = lower.trim_start_matches(['+', '-']).replace('_', "");
    let based = |prefix, radix| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && (digits.parse::<f64>().is_ok()
            || digits.split(':').all(|part| !part.is_empty() && part.parse::<f64>().is_ok())
            || based("0x", 16)
            || based("0o", 8)
            || based("0b", 2)
            || matches!(digits.as_str(), ".inf" | ".nan"));
    number.then_some("a number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::manifest("kind: ConfigMap\ndata:\n  debug: \"true\"\n")]
    #[case::list("kind: List\nitems:\n- kind: Secret\n- kind: ConfigMap\n  data:\n    debug: 'true'\n")]
    #[case::documents("kind: Service\n---\nkind: ConfigMap\ndata: \n  debug: !!str true\n")]
    #[case::named(
        "kind: ConfigMap\nmetadata: {name: other}\n---\nkind: ConfigMap\nmetadata: {name: cilium-config}\ndata:\n  debug: |-\n    true\n"
    )]
    fn finds(#[case] text: &str) {
        assert_eq!(ConfigMap::read(text).unwrap().get("debug"), Some("true"));
    }

    #[rstest]
    #[case::bool(
        "kind: ConfigMap\ndata:\n  debug: true\n",
        "3:10: the value of debug is a boolean, and Kubernetes accepts only strings: quote it"
    )]
    #[case::yaml_1_1(
        "kind: ConfigMap\ndata:\n  a: 1_000\n",
        "3:6: the value of a is a number, and Kubernetes accepts only strings: quote it"
    )]
    #[case::list(
        "kind: ConfigMap\ndata:\n  a: [x]\n",
        "3:6: the value of a is a list, and Kubernetes accepts only strings: quote it"
    )]
    #[case::duplicate(
        "kind: ConfigMap\ndata:\n  a: x\n  a: x\n",
        "4:3: duplicate key \"a\", first used at 3:3: remove one of them"
    )]
    #[case::none(
        "kind: Secret\n",
        "1:1: the file has no ConfigMap: give a manifest or an export of cilium-config"
    )]
    #[case::json(
        "{\"kind\": \"ConfigMap\", \"data\": {\"a\": \"b\"}}",
        "1:31: data is written with braces (JSON): export it with `kubectl get configmap -o yaml`"
    )]
    #[case::no_data(
        "kind: ConfigMap\n",
        "1:1: the ConfigMap has no data: give a manifest or an export of cilium-config"
    )]
    #[case::empty("", "1:1: the file has no ConfigMap: give a manifest or an export of cilium-config")]
    fn refuses(#[case] text: &str, #[case] message: &str) {
        assert_eq!(ConfigMap::read(text).unwrap_err().to_string(), message);
    }

    #[rstest]
    #[case::word("vxlan", None)]
    #[case::cidr("10.0.0.0/8", None)]
    #[case::version("1.2.3", None)]
    #[case::port(":9090", None)]
    #[case::infinity_word("inf", None)]
    #[case::octal("012", Some("a number"))]
    #[case::hex("0x1F", Some("a number"))]
    #[case::sexagesimal("12:30", Some("a number"))]
    #[case::float("-1.5e3", Some("a number"))]
    #[case::infinity("-.inf", Some("a number"))]
    #[case::no("NO", Some("a boolean"))]
    #[case::tilde("~", Some("null"))]
    fn types(#[case] text: &str, #[case] kind: Option<&str>) {
        assert_eq!(plain_type(text), kind);
    }
}
