//! Random values files: steps agree with a direct rebase, another reader finds the decided values, and other lines stay.

#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on should panic")]

use std::collections::{BTreeMap, BTreeSet};

use guide::values::{Rebased, Request, rebase};
use model::Version;
use proptest::prelude::*;
use serde_json::Value;

/// Paths with values that people write.
const POOL: [(&str, &[&str]); 34] = [
    ("masquerade", &["true", "false"]),
    ("eni", &["true"]),
    ("enableIPv4Masquerade", &["true", "false"]),
    ("hostFirewall", &["true"]),
    ("bandwidthManager", &["true", "false"]),
    ("tunnel", &["disabled", "vxlan", "geneve", "ipip"]),
    ("routingMode", &["native", "tunnel"]),
    ("tunnelProtocol", &["vxlan", "geneve"]),
    ("kubeProxyReplacement", &["strict", "partial", "disabled", "probe", "true", "\"false\""]),
    ("nodePort.enabled", &["true", "false"]),
    ("nodePort.range", &["\"30000,31000\""]),
    ("hostPort.enabled", &["true", "false"]),
    ("externalIPs.enabled", &["true"]),
    ("encryption.enabled", &["true"]),
    ("encryption.keyFile", &["keys"]),
    ("encryption.ipsec.interface", &["eth0"]),
    ("encryption.strictMode.enabled", &["true", "false"]),
    ("encryption.strictMode.cidr", &["10.0.0.0/8"]),
    ("proxy.prometheus.port", &["\"9964\"", "9095"]),
    ("ipam.mode", &["kubernetes"]),
    ("ipam.operator.clusterPoolIPv4PodCIDR", &["10.1.0.0/16"]),
    ("bpf.masquerade", &["true"]),
    ("bpf.hostRouting", &["true", "false"]),
    ("hubble.relay.enabled", &["true"]),
    ("hubble.tls.ca.cert", &["abc"]),
    ("hubble.peerService.enabled", &["true", "false"]),
    ("enableCiliumEndpointSlice", &["true"]),
    ("bgp.enabled", &["true", "false"]),
    ("extraConfig.my-key", &["\"x\"", "{a: b}"]),
    ("nodeSelector.disk", &["ssd"]),
    ("tolerations", &["[{operator: Exists}]"]),
    ("upgradeCompatibility", &["\"1.9\"", "\"1.15\""]),
    ("l2NeighDiscovery.enabled", &["true"]),
    ("mistake.deep.here", &["1"]),
];

#[derive(Clone, Debug, Default)]
struct Tree(BTreeMap<String, Result<String, Self>>);

impl Tree {
    fn add(&mut self, path: &str, value: &str) {
        match path.split_once('.') {
            None => {
                self.0.entry(path.to_owned()).or_insert_with(|| Ok(value.to_owned()));
            }
            Some((key, rest)) => {
                if let Err(tree) = self.0.entry(key.to_owned()).or_insert_with(|| Err(Self::default())) {
                    tree.add(rest, value);
                }
            }
        }
    }

    fn text(&self, indent: usize, step: usize, at: &str) -> String {
        let entry = |(key, value): (&String, &Result<String, Self>)| {
            let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            match value {
                Ok(value) => {
                    format!("{:indent$}# about {path}\n{:indent$}{key}: {value}  # of {path}\n", "", "")
                }
                Err(tree) => format!("{:indent$}{key}:\n{}", "", tree.text(indent + step, step, &path)),
            }
        };
        self.0.iter().map(entry).collect()
    }
}

fn file() -> impl Strategy<Value = String> {
    let entry = (0..POOL.len(), any::<prop::sample::Index>());
    (prop::collection::vec(entry, 1..14), prop::sample::select(vec![2_usize, 4])).prop_map(
        |(entries, step)| {
            let mut tree = Tree::default();
            for (at, value) in entries {
                let (path, values) = POOL[at];
                tree.add(path, values[value.index(values.len())]);
            }
            format!("# My cluster.\n\n{}", tree.text(0, step, ""))
        },
    )
}

fn minors() -> impl Strategy<Value = (usize, usize)> {
    (9..=20_usize, 9..=20_usize)
}

fn version(minor: usize) -> Version {
    guide::resolve(&format!("1.{minor}").parse().unwrap()).unwrap()
}

fn go(text: &str, from: usize, to: usize) -> Option<Rebased> {
    let (from, to) = (version(from), version(to));
    rebase(text, &Request { from: &from, to: &to, charts: None })
        .map_err(|e| assert!(e.to_string().contains("no value"), "{e}\n{text}"))
        .ok()
}

/// Makes values of readers of YAML 1.1 and 1.2 comparable.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Value::String(text) => Value::String(text.clone()),
        other => Value::String(other.to_string()),
    }
}

proptest! {
    #[test]
    fn steps_agree_with_a_direct_rebase(text in file(), (from, to) in minors()) {
        let Some(direct) = go(&text, from, to) else { return Ok(()) };
        let hops: Vec<usize> = if from <= to { (from..=to).collect() } else { (to..=from).rev().collect() };
        let mut steps = text.clone();
        for pair in hops.windows(2) {
            match go(&steps, pair[0], pair[1]) {
                Some(rebased) => steps = rebased.text,
                None => return Ok(()),
            }
        }
        let read = |text: &str| serde_saphyr::from_str::<Option<Value>>(text).unwrap().unwrap_or_default();
        prop_assert_eq!(plain(&read(&steps)), plain(&read(&direct.text)), "{} to {}:\n{}\nsteps:\n{}\ndirect:\n{}", from, to, text, steps, direct.text);
    }

    #[test]
    fn other_lines_stay_and_another_reader_agrees(text in file(), (from, to) in minors()) {
        let Some(rebased) = go(&text, from, to) else { return Ok(()) };
        let read = serde_saphyr::from_str::<Option<Value>>(&rebased.text).unwrap();
        let empty = rebased.after.as_object().unwrap().is_empty();
        prop_assert!(empty || plain(&read.unwrap()) == plain(&rebased.after), "{}", rebased.text);
        let changes: Vec<_> = rebased.decisions.iter().filter(|decision| decision.is_change()).collect();
        let touched: BTreeSet<&str> = changes.iter().flat_map(|it| [Some(it.key.as_str()), it.old_key.as_deref()]).flatten().collect();
        let new: Vec<&str> = rebased.text.lines().collect();
        let mut at = 0;
        for line in text.lines() {
            let of = line.rsplit_once("# of ").map(|(_, path)| path).or(line.rsplit_once("# about ").map(|(_, path)| path));
            let header = of.is_none() && line.ends_with(':');
            if of.is_some_and(|path| touched.contains(path)) || header && !changes.is_empty() {
                continue;
            }
            // The comment above a removed map goes with it.
            match new[at..].iter().position(|other| *other == line) {
                Some(found) => at += found + 1,
                None => prop_assert!(false, "{line:?} is gone:\n{text}\n{}", rebased.text),
            }
        }
        if changes.is_empty() {
            prop_assert_eq!(rebased.text, text);
        }
    }
}
