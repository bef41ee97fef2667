//! What the options of a ConfigMap do in a minor, from the option facts alone: neither the facts about keys nor the rebase
//! are used, so that tests can check the decisions of a rebase against it.

use std::collections::{BTreeMap, BTreeSet};

use crate::options;
use model::Minor;

/// The data of a ConfigMap.
pub(super) type Data = BTreeMap<String, String>;

/// What an option does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The option has this value, or its minor behaves so without it.
    Of(String),
    /// The option no longer matters.
    Any,
    /// It is not known.
    Unknown,
    /// The minor does not have the option yet.
    None,
}

/// Options that act together, each group as its function tells.
const ROUTING: [&str; 3] = ["tunnel", "routing-mode", "tunnel-protocol"];
const REPLACEMENT: [&str; 6] = [
    "kube-proxy-replacement",
    "enable-node-port",
    "enable-external-ips",
    "enable-host-port",
    "bpf-lb-sock",
    "enable-host-reachable-services",
];

/// Options that do nothing without another one that is true.
const ONLY_WITH: [(&str, &str); 1] = [("enable-ipsec-encrypted-overlay", "enable-ipsec")];

/// Returns what each option does in a minor, by name; options that act together are combined under one name for each effect.
pub(super) fn effects(data: &Data, minor: Minor) -> BTreeMap<String, Effect> {
    let grouped = |name: &str| ROUTING.contains(&name) || REPLACEMENT.contains(&name);
    let names: BTreeSet<&str> = options::all().iter().map(|option| option.name.as_str()).collect();
    let single = names.into_iter().filter(|name| !grouped(name));
    let mut all: BTreeMap<_, _> =
        single.map(|name| (name.to_owned(), effect(name, data.get(name), minor))).collect();
    for (name, with) in ONLY_WITH {
        if data.get(with).is_none_or(|value| value != "true") {
            all.insert(name.to_owned(), Effect::Any);
        }
    }
    all.insert("routing".to_owned(), Effect::Of(routing(data, minor)));
    for (feature, on) in replacement(data, minor) {
        all.insert(format!("replacement of {feature}"), Effect::Of(on.to_string()));
    }
    all
}

/// Returns the names of the keys that decide on an effect.
pub(super) fn keys_of(effect: &str) -> Vec<&str> {
    match effect.strip_prefix("replacement of ") {
        Some("sockets") => vec![REPLACEMENT[0], "bpf-lb-sock", "enable-host-reachable-services"],
        Some(feature) => vec![REPLACEMENT[0], "enable-node-port", feature],
        None if effect == "routing" => ROUTING.to_vec(),
        None => vec![effect],
    }
}

fn effect(name: &str, value: Option<&String>, minor: Minor) -> Effect {
    let spans = options::named(name);
    if let Some(span) = spans.iter().find(|span| span.is_in(minor)) {
        let value = value.map(String::as_str).or_else(|| span.without_key(minor));
        return value.map_or(Effect::Unknown, |value| Effect::Of(options::normal(name, value)));
    }
    let gone = spans.iter().rfind(|span| span.until().is_some_and(|last| last < minor));
    match gone.map(|span| span.then()) {
        Some(Some("*")) => Effect::Any,
        Some(Some(then)) => Effect::Of(options::normal(name, then)),
        Some(None) => Effect::Unknown,
        None => Effect::None,
    }
}

/// The mode and the protocol between nodes.
fn routing(data: &Data, minor: Minor) -> String {
    let get = |key: &str| data.get(key).map(String::as_str);
    let old = get("tunnel").filter(|tunnel| minor <= Minor::new(1, 14) && !tunnel.is_empty());
    let new = |key: &str| get(key).filter(|_| minor >= Minor::new(1, 14));
    match (old, new("routing-mode").unwrap_or("tunnel")) {
        (Some("disabled"), _) => "native".to_owned(),
        (Some(protocol), _) => protocol.to_owned(),
        (None, "tunnel") => new("tunnel-protocol").unwrap_or("vxlan").to_owned(),
        (None, mode) => mode.to_owned(),
    }
}

/// The features of the kube-proxy replacement that are on.
fn replacement(data: &Data, minor: Minor) -> BTreeMap<&'static str, bool> {
    let get = |key: &str| data.get(key).map(String::as_str);
    let word = get("kube-proxy-replacement").filter(|_| minor >= Minor::new(1, 7));
    let whole = matches!(word, Some("strict" | "true"));
    let none = word == Some("disabled") && minor <= Minor::new(1, 14);
    let single = |key: &str, absent: bool| get(key).map_or(absent, |value| value == "true");
    let has_features = minor <= Minor::new(1, 18);
    let node_port = single("enable-node-port", false) && has_features;
    // What depends on NodePort is on by itself up to 1.13.
    let with = |key: &str| node_port && single(key, minor <= Minor::new(1, 13));
    let older = single("enable-host-reachable-services", false) && minor <= Minor::new(1, 12);
    let sockets = older || single("bpf-lb-sock", false) && minor >= Minor::new(1, 12);
    let on = |single: bool| whole || single && !none;
    BTreeMap::from([
        ("enable-node-port", on(node_port)),
        ("enable-external-ips", on(minor >= Minor::new(1, 7) && with("enable-external-ips"))),
        ("enable-host-port", on(minor >= Minor::new(1, 8) && with("enable-host-port"))),
        ("sockets", on(sockets)),
    ])
}
